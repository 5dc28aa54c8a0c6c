"""Which images there are, of which classes, and which of them train and test."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from abe_tf.config.data import DataConfig, parse_range
from abe_tf.errors import InputError

_EXTENSIONS = (".jpg", ".jpeg", ".png")


@dataclasses.dataclass(frozen=True)
class Examples:
    """Images with labels, read one by one.

    Attributes:
      keys: `[images]` int64, what `read` takes.
      labels: `[images]` int32 classes, counted over the whole data set.
      names: What to call an image in a message: its path, or its number.
      class_names: Names of all classes of the data set, by label.
      read: Graph function from a scalar int64 key to the bytes of the image file.
    """

    keys: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    class_names: tuple[str, ...]
    read: Callable[[tf.Tensor], tf.Tensor]

    def __len__(self) -> int:
        return len(self.keys)

    def where(self, mask: np.ndarray) -> Examples:
        """The examples for which `[images]` bool is true."""
        chosen = np.flatnonzero(mask)
        return dataclasses.replace(
            self,
            keys=self.keys[chosen],
            labels=self.labels[chosen],
            names=tuple(self.names[index] for index in chosen),
        )


@dataclasses.dataclass(frozen=True)
class Splits:
    """Three sets of images that share no class (zero-shot protocol).

    Attributes:
      train: Images that losses see.
      validation: Of classes held out from the training classes; may be empty.
      test: Of classes that neither training nor any choice may look at.
    """

    train: Examples
    validation: Examples
    test: Examples


def load(config: DataConfig) -> Splits:
    """Loads the data set that the flags name.

    Raises:
      InputError: There are no images, a class is too small to have a positive pair, or
        a range of classes reaches beyond the data set.
    """
    examples = _digits(config) if config.dataset == "digits" else _image_folder(config)
    if config.max_images_per_class:
        examples = _first_of_each_class(examples, config.max_images_per_class)
    _check_pairs(examples)
    train, test = _class_ranges(config, len(examples.class_names))
    held_out = _held_out(train, config.validation_classes)
    return Splits(
        train=examples.where(np.isin(examples.labels, np.setdiff1d(train, held_out))),
        validation=examples.where(np.isin(examples.labels, held_out)),
        test=examples.where(np.isin(examples.labels, test)),
    )


def _image_folder(config: DataConfig) -> Examples:
    assert config.data_dir is not None  # check_paths has seen it
    paths: list[str] = []
    labels: list[int] = []
    class_names = sorted(
        entry.name
        for entry in os.scandir(config.data_dir)
        if entry.is_dir() and not entry.name.startswith(".")
    )
    if len(class_names) < 2:
        raise InputError(
            "--data_dir must hold one folder for each class, two at least. "
            f"Received: {config.data_dir!r} with {len(class_names)}."
        )
    for label, class_name in enumerate(class_names):
        folder = os.path.join(config.data_dir, class_name)
        files = sorted(f for f in os.listdir(folder) if f.lower().endswith(_EXTENSIONS))
        if not files:
            raise InputError(
                f"Each class folder must hold images ({', '.join(_EXTENSIONS)}). "
                f"Received: {folder!r} with none. Remove it, or add some."
            )
        paths += [os.path.join(folder, file) for file in files]
        labels += [label] * len(files)
    return _all(labels, tuple(paths), tuple(class_names), _file_reader(paths))


def from_files(paths: list[str]) -> Examples:
    """Image files without classes; all labels are 0."""
    return _all([0] * len(paths), tuple(paths), ("unknown",), _file_reader(paths))


def _file_reader(paths: list[str]) -> Callable[[tf.Tensor], tf.Tensor]:
    table = np.array(paths)

    def read(key: tf.Tensor) -> tf.Tensor:
        return tf.io.read_file(tf.gather(table, key))

    return read


def _digits(config: DataConfig) -> Examples:
    # Here, because TensorFlow Datasets takes a second to import.
    from abe_tf.data.builders import digits

    encoded, labels = digits.load(config.data_dir)
    table = np.array(encoded, dtype=object)

    def read(key: tf.Tensor) -> tf.Tensor:
        return tf.gather(table, key)

    names = tuple(f"digits image {number}" for number in range(len(labels)))
    return _all(labels, names, digits.CLASS_NAMES, read)


def _all(
    labels: list[int],
    names: tuple[str, ...],
    class_names: tuple[str, ...],
    read: Callable[[tf.Tensor], tf.Tensor],
) -> Examples:
    keys = np.arange(len(labels))
    return Examples(keys, np.array(labels, np.int32), names, class_names, read)


def _first_of_each_class(examples: Examples, count: int) -> Examples:
    # Labels are grouped: an image's rank in its class is how far it is from the first.
    _, first, inverse = np.unique(
        examples.labels, return_index=True, return_inverse=True
    )
    return examples.where(np.arange(len(examples)) - first[inverse] < count)


def _check_pairs(examples: Examples) -> None:
    classes, counts = np.unique(examples.labels, return_counts=True)
    for label, count in zip(classes, counts, strict=True):
        if count < 2:
            raise InputError(
                "Each class must have two images at least, or none is like the other. "
                f"Received: class {examples.class_names[label]} with {count}. "
                "Add images, or leave the class out."
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
