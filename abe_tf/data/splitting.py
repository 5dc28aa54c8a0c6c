"""Which images train, validate and test, and which are left out of that."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from abe_tf.config.data import DataConfig, parse_range
from abe_tf.data.examples import Examples, Splits
from abe_tf.errors import InputError

# Below, none are left to test with where two train and two batches are to differ.
_FEWEST_CLASSES = 4
# Of classes that all train: every fourth photo tests, and two at least. Two train.
_TESTED_PHOTOS, _FEWEST_TESTED, _FEWEST_TRAINED = 4, 2, 2
TESTED = ("test", "query", "gallery")


def by_class(config: DataConfig, examples: Examples) -> tuple[np.ndarray, bool]:
    """The split of each image where the data set does not name it.

    Args:
      config: With ranges of classes, or without any.
      examples: All images.

    Returns:
      `[images]` "train", "test", "query" of what is looked for among the photos that
      train, or "" for none; and whether what tests are photos of classes that train,
      because there are too few classes to hold any out.

    Raises:
      InputError: A range does not fit, or there are too few photos.
    """
    classes = len(examples.class_names)
    ranged = config.train_classes or config.test_classes
    if classes < _FEWEST_CLASSES and not ranged:
        return _by_photo(examples), True
    train, test = _class_ranges(config, classes)
    in_train, in_test = (np.isin(examples.labels, part) for part in (train, test))
    return np.where(in_train, "train", np.where(in_test, "test", "")), False


def _by_photo(examples: Examples) -> np.ndarray:
    """All classes train; evenly spaced photos of each test.

    Where no class has two to spare, one photo tests, among those that train.
    """
    named = np.full(len(examples), "train", object)
    for label in np.unique(examples.labels):
        (photos,) = np.nonzero(examples.labels == label)
        count = max(_FEWEST_TESTED, len(photos) // _TESTED_PHOTOS)
        if len(photos) >= count + _FEWEST_TRAINED:
            step = len(photos) / count
            chosen = ((np.arange(count) + 0.5) * step).astype(int)
            named[photos[chosen]] = "test"
    which = "every fourth photo tests"
    if not np.any(named == "test"):
        which = "one photo of each tests, looked for among those that train"
        for label in np.unique(examples.labels):
            (photos,) = np.nonzero(examples.labels == label)
            if len(photos) > _FEWEST_TRAINED:
                named[photos[len(photos) // 2]] = "query"
    count = len(examples.class_names)
    if np.all(named == "train"):
        raise InputError(
            f"Of fewer than {_FEWEST_CLASSES} classes one must have "
            f"{_FEWEST_TRAINED + 1} photos, one of which tests. "
            f"Received: {count} classes, the largest of "
            f"{np.bincount(examples.labels).max()}. Add photos or classes."
        )
    print(
        f"{count} classes are too few to hold any out: all of them train, and {which}. "
        "Recall is that of held-out photos of known classes, not of unseen classes.",
        file=sys.stderr,
    )
    return named.astype(str)


def with_validation(
    config: DataConfig, examples: Examples, named: np.ndarray, known_classes: bool
) -> np.ndarray:
    """The split of each image, with some of the training classes held out.

    Raises:
      InputError: A class trains and tests although none is to, or too few classes
        would train.
    """
    is_train, tested = named == "train", np.isin(named, TESTED)
    shared = np.intersect1d(examples.labels[is_train], examples.labels[tested])
    if len(shared) and not known_classes:
        raise InputError(
            "Training and test must not share a class. "
            f"Received: {examples.class_names[int(shared[0])]!r} in both."
        )
    held_out = _held_out(
        np.unique(examples.labels[is_train]), config.validation_classes
    )
    is_held_out = is_train & np.isin(examples.labels, held_out)
    return np.where(is_held_out, "validation", named)


def split(
    config: DataConfig, examples: Examples, named: np.ndarray, known_classes: bool
) -> Splits:
    """Puts images into their splits.

    Args:
      config: Says of what size classes must be.
      examples: All images that can be read.
      named: `[images]` names of their splits.
      known_classes: Whether test photos are of classes that train.

    Returns:
      The splits without what has no partner, which is named on standard error.

    Raises:
      InputError: No images train, or none test.
    """
    train = examples.where(named == "train")
    if config.batches in ("classes", "domains"):
        train = without_lone(train, "training")
    test = examples.where(np.isin(named, ("test", "query")))
    gallery = None
    if np.any(named == "gallery"):
        gallery = examples.where(named == "gallery")
    elif known_classes and np.any(named == "query"):
        gallery = train
    if gallery is None:
        test = without_lone(test, "test")
    else:
        test = with_partner(test, gallery)
    validation = without_lone(examples.where(named == "validation"), "validation")
    for name, part in (("training", train), ("test", test)):
        if not len(part):
            raise InputError(f"There must be {name} images. Received: none.")
    return Splits(train, validation, test, gallery, known_classes, config.test_domains)


def large_enough(examples: Examples, fewest: int) -> np.ndarray:
    """Which images are of a class of so many at least; the others' are named."""
    counts = np.bincount(examples.labels, minlength=len(examples.class_names))
    small = np.flatnonzero((counts < fewest) & (counts > 0))
    if len(small):
        names = ", ".join(
            f"{examples.class_names[label]!r} ({counts[label]})" for label in small
        )
        print(
            f"Left out, classes of fewer images than --min_images_per_class={fewest}: "
            f"{len(small):,} with {counts[small].sum():,} images: {names}",
            file=sys.stderr,
        )
    return counts[examples.labels] >= fewest


def first_of_each_class(
    examples: Examples, named: np.ndarray, count: int
) -> np.ndarray:
    """Which images are among the first `count` of their class and split.

    Of several domains the first of each come before the second of any.
    """
    _, numbers = np.unique(named, return_inverse=True)
    groups = examples.labels.astype(np.int64) * (numbers.max() + 1) + numbers
    turns = np.zeros(len(groups), np.int64)
    if examples.domains is not None:
        _, places = np.unique(examples.domains, return_inverse=True)
        turns = _places_within(groups * (places.max() + 1) + places, turns)
    return _places_within(groups, turns) < count


def _places_within(groups: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """The place of each within its group, by turn, and in the given order in each."""
    order = np.lexsort([turns, groups])
    _, first, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    places = np.empty(len(groups), np.int64)
    places[order] = np.arange(len(groups)) - np.repeat(first, sizes)
    return places


def without_lone(examples: Examples, split_name: str) -> Examples:
    """Leaves out, by name, classes of one image, which nothing could be like."""
    classes, counts = np.unique(examples.labels, return_counts=True)
    is_lone = np.isin(examples.labels, classes[counts < 2])
    reason = f"the only image of a {split_name} class, which no other could be like"
    return _without(examples, is_lone, reason)


def with_partner(queries: Examples, gallery: Examples) -> Examples:
    """Leaves out, by name, queries that nothing in the gallery could be like."""
    alone = ~np.isin(queries.labels, gallery.labels)
    return _without(
        queries, alone, "queries without an image of their class in the gallery"
    )


def _without(examples: Examples, out: np.ndarray, reason: str) -> Examples:
    if out.any():
        names = ", ".join(repr(str(examples.names[i])) for i in np.flatnonzero(out))
        print(f"Left out, {reason}: {out.sum():,}: {names}", file=sys.stderr)
    return examples.where(~out)


def _class_ranges(config: DataConfig, classes: int) -> tuple[Sequence[int], ...]:
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
    return range(*train), range(*test)


def _held_out(train: np.ndarray, share: float) -> np.ndarray:
    """Evenly spaced classes, since neighbours by name are often alike."""
    if share and len(train) < _FEWEST_CLASSES:
        print(
            f"{len(train)} training classes are too few to hold any out: "
            f"--validation_classes={share} holds none out, and chooses no checkpoint.",
            file=sys.stderr,
        )
        return train[:0]
    count = max(2, round(len(train) * share)) if share else 0
    if count and count > len(train) - 2:
        raise InputError(
            "--validation_classes must leave two training classes at least. "
            f"Received: {share} of {len(train)} classes."
        )
    if not count:
        return train[:0]
    return train[np.arange(count) * len(train) // count + len(train) // count // 2]
