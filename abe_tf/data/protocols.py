"""The public benchmarks, split as the paper splits them (section 5.1).

Everything comes out of TensorFlow Datasets; what it prepared once is read from there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from abe_tf.config.benchmarks import BUILDERS, OWN_BUILDERS
from abe_tf.config.data import DataConfig
from abe_tf.data.builders import (
    cars196,
    cub200_2011,
    in_shop,
    omniglot,
    online_products,
)
from abe_tf.data.builders.preparing import prepare
from abe_tf.data.examples import Examples, all_of
from abe_tf.data.records import RecordIndex
from abe_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One benchmark.

    Attributes:
      builder: Its name in TensorFlow Datasets.
      archives: What `--manual_dir` must hold.
      counts: Classes and images of each split, by the paper's table.
      label: Name of the label's feature.
      filename: Name of the feature that names the image, or `None`.
      box: Name and kind of the box's feature: "pixels" (left, top, right, bottom) or
        "shares" (top, left, bottom, right in 0 to 1), or `None`.
      train_classes: Where the prepared splits are not the paper's: so many classes
        train and the rest tests.
      domain: Which part of an image's path says where it is from, if any does.
    """

    builder: str
    archives: str
    counts: dict[str, tuple[int, int]]
    label: str = "label"
    filename: str | None = "filename"
    box: tuple[str, str] | None = None
    train_classes: int | None = None
    domain: int | None = None


PROTOCOLS = {
    "cars196": Protocol(
        BUILDERS["cars196"],
        cars196.AbeCars196.MANUAL_DOWNLOAD_INSTRUCTIONS,
        {"train": (98, 8054), "test": (98, 8131)},
        box=("box", "pixels"),
    ),
    "cub200_2011": Protocol(
        BUILDERS["cub200_2011"],
        cub200_2011.AbeCub2002011.MANUAL_DOWNLOAD_INSTRUCTIONS,
        {"train": (100, 5864), "test": (100, 5924)},
        box=("box", "pixels"),
    ),
    "stanford_online_products": Protocol(
        BUILDERS["stanford_online_products"],
        online_products.AbeStanfordOnlineProducts.MANUAL_DOWNLOAD_INSTRUCTIONS,
        {"train": (11318, 59551), "test": (11316, 60502)},
    ),
    "in_shop": Protocol(
        BUILDERS["in_shop"],
        in_shop.AbeInShop.MANUAL_DOWNLOAD_INSTRUCTIONS,
        {"train": (3997, 25882), "query": (3985, 14218), "gallery": (3985, 12612)},
        box=("box", "pixels"),
    ),
    "omniglot": Protocol(
        BUILDERS["omniglot"],
        omniglot.AbeOmniglot.MANUAL_DOWNLOAD_INSTRUCTIONS,
        {"train": (136, 2720), "test": (106, 2120)},
        # Its alphabet.
        domain=-3,
    ),
}
# TensorFlow Datasets' own, for who has them prepared or lets them be downloaded.
_OWN = {
    "cub200_2011": Protocol(
        OWN_BUILDERS["cub200_2011"],
        "nothing",
        PROTOCOLS["cub200_2011"].counts,
        filename="image/filename",
        box=("bbox", "shares"),
        train_classes=100,
    ),
    "stanford_online_products": Protocol(
        OWN_BUILDERS["stanford_online_products"],
        "nothing",
        PROTOCOLS["stanford_online_products"].counts,
        label="class_id",
        filename=None,
    ),
}


def load(config: DataConfig) -> tuple[Examples, np.ndarray]:
    """A benchmark's images, prepared on the first call.

    Returns:
      The images and the split of each: `[images]` of train, test, query, gallery.

    Raises:
      InputError: The archives are missing or damaged.
    """
    protocol = PROTOCOLS[config.dataset]
    builder = _builder(protocol, config)
    if config.dataset in _OWN and not builder.is_prepared():
        own = _builder(_OWN[config.dataset], config)
        if own.is_prepared() or (config.download and not config.manual_dir):
            protocol, builder = _OWN[config.dataset], own
    if not builder.is_prepared():
        builder = _prepare(builder, protocol, config)
    if protocol.box is None and config.cropped:
        raise InputError(
            "--cropped needs a data set with boxes. "
            f"Received: --dataset={config.dataset}, which has none."
        )
    examples, splits = _read(builder, protocol, config.cropped)
    _report_counts(config.dataset, protocol, examples, splits)
    return examples, splits


def _builder(protocol: Protocol, config: DataConfig) -> tfds.core.DatasetBuilder:
    return tfds.builder(protocol.builder, data_dir=config.data_dir)


def _prepare(
    builder: tfds.core.DatasetBuilder, protocol: Protocol, config: DataConfig
) -> tfds.core.DatasetBuilder:
    wanted = " ".join(protocol.archives.split())
    if not (config.manual_dir or config.download):
        raise InputError(
            f"--dataset={config.dataset} is made from its archives: {wanted} "
            "Received: no --manual_dir with them. Give it, or --download where "
            "TensorFlow Datasets can fetch them."
        )
    ours = protocol.builder.startswith("abe_")
    if ours and not config.manual_dir:
        raise InputError(
            f"--dataset={config.dataset} cannot be downloaded. Received: --download. "
            f"Give --manual_dir with {wanted}"
        )
    tfds.disable_progress_bar()
    print(f"Making {protocol.builder}, once, in {builder.data_dir} ...", flush=True)
    settings = tfds.download.DownloadConfig(
        manual_dir=config.manual_dir and os.path.abspath(config.manual_dir)
    )
    with _errors_in_one_line(protocol, wanted):
        return prepare(lambda: _builder(protocol, config), settings)


@contextlib.contextmanager
def _errors_in_one_line(protocol: Protocol, wanted: str) -> Iterator[None]:
    """Finds our own error in what TensorFlow Datasets makes of it."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, InputError):
                raise cause from error
            cause = cause.__cause__ or cause.__context__
        raise InputError(
            f"{protocol.builder} must be made of complete archives: {wanted}. "
            f"Received: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        ) from error


def _read(
    builder: tfds.core.DatasetBuilder, protocol: Protocol, cropped: bool
) -> tuple[Examples, np.ndarray]:
    infos = {name: builder.info.splits[name] for name in builder.info.splits}
    paths = [path for info in infos.values() for path in info.filepaths]
    wanted: dict[str, Any] = {protocol.label: tf.io.FixedLenFeature([], tf.int64)}
    if protocol.filename:
        wanted[protocol.filename] = tf.io.FixedLenFeature([], tf.string)
    if protocol.box and cropped:
        wanted[protocol.box[0]] = tf.io.FixedLenFeature([4], tf.float32)
    in_shares = protocol.box is not None and protocol.box[1] == "shares"
    index = RecordIndex(paths, wanted, _image_sizes if cropped and in_shares else None)
    labels = index.features[protocol.label]
    splits = np.repeat(list(infos), [info.num_examples for info in infos.values()])
    if protocol.train_classes is not None:
        splits = np.where(labels < protocol.train_classes, "train", "test")
    names = [f"{protocol.builder}, record {number}" for number in range(len(index))]
    if protocol.filename:
        names = [name.decode() for name in index.features[protocol.filename]]
    class_names = tuple(builder.info.features[protocol.label].names)
    boxes = None
    if protocol.box and cropped:
        boxes = index.features[protocol.box[0]]
        if np.isnan(boxes).any():
            raise InputError(
                "--cropped needs the boxes of all images. Received: "
                f"{builder.data_dir}, made without the list of boxes. Remove that "
                "folder, and give --manual_dir with the list."
            )
        if in_shares:
            boxes = boxes[:, [1, 0, 3, 2]] * index.features["size"][:, [1, 0, 1, 0]]
    examples = all_of(labels, names, class_names, index.read_image, boxes)
    if protocol.domain is not None:
        domains = np.array([name.split("/")[protocol.domain] for name in names])
        examples = dataclasses.replace(examples, domains=domains)
    return examples, splits


def _image_sizes(records: tf.Tensor) -> dict[str, tf.Tensor]:
    """Heights and widths of JPEG files, `[batch, 2]`."""
    feature = {"image": tf.io.FixedLenFeature([], tf.string)}
    encoded = tf.io.parse_example(records, feature)["image"]
    sizes = [tf.image.extract_jpeg_shape(image)[:2] for image in encoded]
    return {"size": tf.stack(sizes)}


def _report_counts(
    dataset: str, protocol: Protocol, examples: Examples, splits: np.ndarray
) -> None:
    """Says where a benchmark is not what the paper had; numbers would not compare."""
    for name, paper in protocol.counts.items():
        labels = examples.labels[splits == name]
        here = (len(np.unique(labels)), len(labels))
        if here != paper:
            print(
                f"{dataset}: {name} has {here[0]:,} classes and {here[1]:,} images, "
                f"the paper's {paper[0]:,} and {paper[1]:,}: "
                f"{_difference(paper[0] - here[0], 'classes')} and "
                f"{_difference(paper[1] - here[1], 'images')}.",
                file=sys.stderr,
            )


def _difference(missing: int, what: str) -> str:
    return f"{abs(missing):,} {what} are {'missing' if missing >= 0 else 'too many'}"
