"""Which images there are, of which classes, and which of them train and test."""

from __future__ import annotations

import sys

import numpy as np

from abe_tf.config.data import BENCHMARKS, DataConfig, parse_range
from abe_tf.data import folders
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
    if named is None:
        named = _by_class(config, examples)
    # Before any image is left out: a class keeps its split whatever its images are.
    named = _with_validation(config, examples, named)
    readable = _readable(config, examples)
    examples, named = examples.where(readable), named[readable]
    if config.max_images_per_class:
        keep = _first_of_each_class(examples, named, config.max_images_per_class)
        examples, named = examples.where(keep), named[keep]
    return _split(config, examples, named)


def _readable(config: DataConfig, examples: Examples) -> np.ndarray:
    """Which images can be read, as far as was asked; `[images]` bool.

    Raises:
      InputError: One cannot, and that is not to be passed over.
    """
    skip = config.on_bad_image == "skip"
    decode = skip or config.check == "decode"
    bad = check_images(examples, Preprocessing.of(config), decode)
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
    return readable


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
    return folders.image_folder(config.data_dir), None


def _split(config: DataConfig, examples: Examples, named: np.ndarray) -> Splits:
    train = examples.where(named == "train")
    has_gallery = bool(np.any(named == "gallery"))
    test = examples.where(np.isin(named, ("test", "query")))
    gallery = examples.where(named == "gallery") if has_gallery else None
    validation = examples.where(named == "validation")
    if config.batches == "classes":
        train = _without_lone(train, "training")
    validation = _without_lone(validation, "validation")
    if gallery is None:
        test = _without_lone(test, "test")
    else:
        _check_gallery(test, gallery)
    for name, part in (("training", train), ("test", test)):
        if not len(part):
            raise InputError(f"There must be {name} images. Received: none.")
    return Splits(train, validation, test, gallery)


def _with_validation(
    config: DataConfig, examples: Examples, named: np.ndarray
) -> np.ndarray:
    """The split of each image, with some of the training classes held out.

    Raises:
      InputError: A class trains and tests, or too few classes would train.
    """
    is_train = named == "train"
    tested = np.isin(named, ("test", "query", "gallery"))
    shared = np.intersect1d(examples.labels[is_train], examples.labels[tested])
    if len(shared):
        raise InputError(
            "Training and test must not share a class. "
            f"Received: {examples.class_names[int(shared[0])]!r} in both."
        )
    held_out = _held_out(
        np.unique(examples.labels[is_train]), config.validation_classes
    )
    is_held_out = is_train & np.isin(examples.labels, held_out)
    return np.where(is_held_out, "validation", named)


def _by_class(config: DataConfig, examples: Examples) -> np.ndarray:
    """The split of each image by the ranges of classes; "" for neither."""
    train, test = _class_ranges(config, len(examples.class_names))
    in_train, in_test = (np.isin(examples.labels, part) for part in (train, test))
    return np.where(in_train, "train", np.where(in_test, "test", ""))


def _first_of_each_class(
    examples: Examples, named: np.ndarray, count: int
) -> np.ndarray:
    """Which images are among the first `count` of their class and split."""
    _, split = np.unique(named, return_inverse=True)
    groups = examples.labels.astype(np.int64) * (split.max() + 1) + split
    order = np.argsort(groups, kind="stable")
    _, first, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    keep = np.empty(len(groups), bool)
    keep[order] = np.arange(len(groups)) - np.repeat(first, sizes) < count
    return keep


def _without_lone(examples: Examples, split: str) -> Examples:
    """Leaves out, by name, classes of one image, which nothing could be like."""
    classes, counts = np.unique(examples.labels, return_counts=True)
    is_lone = np.isin(examples.labels, classes[counts < 2])
    if is_lone.any():
        names = ", ".join(repr(str(examples.names[i])) for i in np.flatnonzero(is_lone))
        print(
            f"Left out, the only image of a {split} class, which no other could be "
            f"like: {is_lone.sum():,}: {names}",
            file=sys.stderr,
        )
    return examples.where(~is_lone)


def _check_gallery(test: Examples, gallery: Examples) -> None:
    for label in np.setdiff1d(test.labels, gallery.labels):
        raise InputError(
            "Each query must have an image of its class in the gallery. "
            f"Received: class {test.class_names[label]} with none."
        )


def _class_ranges(config: DataConfig, classes: int) -> tuple[np.ndarray, np.ndarray]:
    train = parse_range("train_classes", config.train_classes)
    test = parse_range("test_classes", config.test_classes)
    train = train or (0, test[0] if test and test[0] else classes // 2)
    test = test or (train[1], classes)
    for name, (first, end) in (("train_classes", train), ("test_classes", test)):
        if not first < end <= classes:
            raise InputError(
                f"--{name} must lie within the data set's {classes} classes and leave "
                f"some for the other split. Received: {first}:{end}."
            )
    if max(train[0], test[0]) < min(train[1], test[1]):
        raise InputError(
            "Training and test must not share a class. Received: "
            f"{train[0]}:{train[1]} and {test[0]}:{test[1]}. Give both ranges."
        )
    return np.arange(*train), np.arange(*test)


def _held_out(train: np.ndarray, share: float) -> np.ndarray:
    """Evenly spaced classes, since neighbours by name are often alike."""
    count = max(2, round(len(train) * share)) if share else 0
    if count and count > len(train) - 2:
        raise InputError(
            "--validation_classes must leave two training classes at least. "
            f"Received: {share} of {len(train)} classes."
        )
    if not count:
        return train[:0]
    return train[np.arange(count) * len(train) // count + len(train) // count // 2]
