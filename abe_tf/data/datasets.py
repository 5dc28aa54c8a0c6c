"""Which images there are, of which classes, and which of them train and test."""

from __future__ import annotations

import sys

import numpy as np

from abe_tf.config.batches import CLASSES_PER_BATCH, IMAGES_PER_CLASS
from abe_tf.config.benchmarks import BENCHMARKS
from abe_tf.config.data import DataConfig
from abe_tf.data import domains, folders, grocery, splitting, twins
from abe_tf.data.converted import ConvertedPhotos, default_folder
from abe_tf.data.examples import Examples, Splits, all_of, in_memory
from abe_tf.data.pipeline import check_images
from abe_tf.data.pixels.preprocessing import Preprocessing
from abe_tf.data.unreadable import UnreadableImageError
from abe_tf.errors import InputError


def load(config: DataConfig) -> Splits:
    """Loads the data set that the flags name.

    What is left out is named and counted on standard error: images that cannot be
    read, where that is allowed, and classes of one image.

    Raises:
      InputError: There are no images, one cannot be read, a class trains and tests, or
        a range of classes reaches beyond the data set.
    """
    examples, named = _examples(config)
    known_classes = shared = False
    if config.test_domains:
        named, shared = domains.by_domain(config, examples, named)
    elif named is None:
        named, known_classes = splitting.by_class(config, examples)
    # Before any image is left out: a class keeps its split whatever its images are.
    named = splitting.with_validation(config, examples, named, known_classes or shared)
    if config.validation_domains:
        named = domains.with_validation(config, examples, named)
    is_used = named != ""
    examples, named = examples.where(is_used), named[is_used]
    examples, readable = _readable(config, examples)
    examples, named = examples.where(readable), named[readable]
    if config.min_images_per_class:
        keep = splitting.large_enough(examples, config.min_images_per_class)
        examples, named = examples.where(keep), named[keep]
    if config.max_images_per_class:
        most = config.max_images_per_class
        keep = splitting.first_of_each_class(examples, named, most)
        examples, named = examples.where(keep), named[keep]
    twins.tell(examples, named)
    return splitting.split(config, examples, named, known_classes)


def fitted(config: DataConfig, splits: Splits) -> DataConfig:
    """Batches as the training images allow; what that changes is said.

    Args:
      config: What the flags ask for; what they leave open follows the data.
      splits: The images.
    """
    train = splits.train
    if config.batches == "domains":
        classes = _classes_by_domain(train)
        return config.fitted_to_domains(classes)
    _, counts = np.unique(train.labels, return_counts=True)
    fitting = config.fitted(counts.tolist())
    if fitting.images_per_slot != config.images_per_slot:
        print(
            f"Batches of {fitting.classes_per_batch} classes x "
            f"{fitting.images_per_class} images, as {len(counts)} training classes of "
            f"{counts.min()} images and more allow (otherwise {CLASSES_PER_BATCH} x "
            f"{IMAGES_PER_CLASS}).",
            file=sys.stderr,
        )
    return fitting


def _classes_by_domain(examples: Examples) -> list[int]:
    of_images = domains.required(examples, "batches=domains")
    names = np.unique(of_images)
    counts = [len(np.unique(examples.labels[of_images == name])) for name in names]
    if len(names) < 2 or min(counts) < 2:
        raise InputError(
            "--batches=domains needs two domains that train, and two classes in each. "
            f"Received: {len(names)}, the smallest with {min(counts)} classes. Bring "
            "more, or use --batches=classes."
        )
    return counts


def _readable(config: DataConfig, examples: Examples) -> tuple[Examples, np.ndarray]:
    """The images as they are read, and which can be; `[images]` bool.

    Raises:
      InputError: One cannot, as far as was asked, and that is not to be passed over.
    """
    skip = config.on_bad_image == "skip"
    decode = skip or config.check == "decode"
    cache = ConvertedPhotos(
        config.cache_dir or default_folder(), config.cache_gb, config.max_pixels
    )
    examples, bad = cache.convert(examples)
    unconverted = {one.position for one in bad}
    checked = check_images(examples, Preprocessing.of(config), decode, unconverted)
    bad = sorted([*bad, *checked], key=lambda one: one.position)
    if bad and not skip:
        raise UnreadableImageError(bad)
    readable = np.ones(len(examples), bool)
    readable[[one.position for one in bad]] = False
    if bad:
        print(
            f"Left out {len(bad):,} of {len(examples):,} images that cannot be read:",
            *(f"{one.name!r}: {one.reason}" for one in bad),
            sep="\n  ",
            file=sys.stderr,
        )
    return examples, readable


def _examples(config: DataConfig) -> tuple[Examples, np.ndarray | None]:
    """All images, and the split of each where the data set says so."""
    if config.dataset in BENCHMARKS:
        # Here, because TensorFlow Datasets takes a second to import.
        from abe_tf.data import protocols

        return protocols.load(config)
    if config.dataset == "digits":
        from abe_tf.data.builders import digits

        encoded, labels = digits.load(config.data_dir)
        names = [f"digits image {number}" for number in range(len(labels))]
        read = in_memory(encoded)
        return all_of(labels, names, digits.CLASS_NAMES, read), None
    if config.image_list:
        return folders.image_list(config.image_list, config.data_dir, config.cropped)
    assert config.data_dir is not None  # check_paths has seen it
    if config.dataset == "grocery_store":
        return grocery.load(config.data_dir), None
    if config.domains:
        return folders.domain_folders(config.data_dir), None
    return folders.image_folder(config.data_dir), None
