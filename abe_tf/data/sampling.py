"""Batches of images, each a function of seed and number alone.

Nothing is carried from batch to batch, so a run that stopped after step n goes on with
batch n + 1 without drawing the n before it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from abe_tf.errors import InputError

# Kinds of random numbers, so that equal counters give independent streams.
_CLASS_ORDER, _IMAGE_ORDER, _ANY_ORDER = 0, 1, 2


class Sampler(Protocol):
    """Says which images a batch has."""

    @property
    def batch_size(self) -> int:
        """Images in a batch."""

    @property
    def num_small_classes(self) -> int:
        """Classes too small for what a batch takes of each."""

    def batch(self, number: int) -> np.ndarray:
        """Positions of the images of a batch, counted from 0; `[batch_size]` int64."""


class UniformSampler:
    """Fills batches with any images, in a new random order each epoch.

    Images that are left over at the end of an epoch come in others.

    Args:
      count: Number of images.
      batch_size: Images in a batch.
      seed: Not negative.

    Raises:
      InputError: There are too few for one batch.
    """

    num_small_classes = 0

    def __init__(self, count: int, batch_size: int, seed: int) -> None:
        if batch_size > count:
            raise InputError(
                "--images_per_batch must be at most the number of training images. "
                f"Received: {batch_size}, with {count}."
            )
        self._count, self._size, self._seed = count, batch_size, seed
        self._order = functools.lru_cache(maxsize=2)(self._ordered)

    @property
    def batch_size(self) -> int:
        """Images in a batch."""
        return self._size

    def batch(self, number: int) -> np.ndarray:
        """Positions of the images of a batch, counted from 0; none twice."""
        epoch, place = divmod(number, self._count // self._size)
        return self._order(epoch)[place * self._size : (place + 1) * self._size]

    def _ordered(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self._seed, _ANY_ORDER, epoch])
        return rng.permutation(self._count)


class ClassSampler:
    """Fills the slots of each batch with different classes.

    A batch of P classes x K images has P slots of K images; one of pairs has a slot of
    two images for each positive pair, and two slots of one for each negative pair.

    An epoch has as many batches as there are classes to fill them, each class at most
    once. Each epoch puts the classes in a new random order; those left over at its end
    come in others. A class gives its images in a random order of its own; what is left
    when fewer remain than the largest slot takes is left out of that order.

    Args:
      labels: `[images]` integer classes.
      images_per_slot: Largest first.
      seed: Not negative, one number or several.
      class_names: Names of the classes for messages, by label; the numbers where
        `None`.
      repeats: Whether a class that is too small for a slot gives images again.

    Raises:
      InputError: There are fewer classes than slots, or too few that are large enough.
        With equal slots every class must be; otherwise the smaller ones fill the
        smaller slots.
    """

    def __init__(
        self,
        labels: np.ndarray,
        images_per_slot: Sequence[int],
        seed: int | Sequence[int],
        class_names: tuple[str, ...] | None = None,
        repeats: bool = False,
    ) -> None:
        classes, first, counts = np.unique(
            np.sort(labels), return_index=True, return_counts=True
        )
        self._slots = tuple(images_per_slot)
        self._largest = self._slots[0]
        self._large_slots = self._slots.count(self._largest)
        self._images = np.split(np.argsort(labels, kind="stable"), first[1:])
        self._is_large = (counts >= self._largest) | repeats
        self._repeating = repeats * int(np.count_nonzero(counts < self._largest))
        self._seed = np.atleast_1d(seed).tolist()
        self._check(classes, counts, class_names)
        self._class_order = functools.lru_cache(maxsize=2)(self._order_classes)

    def _check(
        self,
        classes: np.ndarray,
        counts: np.ndarray,
        class_names: tuple[str, ...] | None,
    ) -> None:
        if len(classes) < len(self._slots):
            raise InputError(
                "--classes_per_batch, or --positive_pairs + 2 x --negative_pairs, must "
                "be at most the number of training classes. "
                f"Received: {len(self._slots)}, with {len(classes)} classes."
            )
        if self.num_small_classes and self._large_slots == len(self._slots):
            smallest = int(np.argmin(counts))
            label = classes[smallest]
            name = class_names[label] if class_names else label
            raise InputError(
                "--images_per_class must be at most the images of the smallest "
                f"training class. Received: {self._largest}; class {name} has "
                f"{counts[smallest]}. Lower it, leave the class out, or use "
                "--batches=pairs."
            )
        num_large = len(classes) - self.num_small_classes
        if num_large < self._large_slots:
            raise InputError(
                "--positive_pairs must be at most the number of training classes with "
                f"two images. Received: {self._large_slots}, with {num_large}."
            )

    @property
    def batch_size(self) -> int:
        """Images in a batch."""
        return sum(self._slots)

    @property
    def batches_per_epoch(self) -> int:
        """Batches in which each class comes at most once."""
        return min(
            len(self._images) // len(self._slots),
            int(self._is_large.sum()) // self._large_slots,
        )

    @property
    def num_small_classes(self) -> int:
        """Classes too small for the largest slots: those without a positive pair."""
        return int(np.count_nonzero(~self._is_large))

    @property
    def num_repeating_classes(self) -> int:
        """Classes too small for the largest slots, which give images again."""
        return self._repeating

    def batch(self, number: int) -> np.ndarray:
        """The batch of a step.

        Args:
          number: Counts from 0.

        Returns:
          `[batch_size]` int64 positions in `labels`, slot after slot; none twice, but
          where a class gives images again.
        """
        epoch, place = divmod(number, self.batches_per_epoch)
        chosen = [
            order[place * count : (place + 1) * count]
            for order, count in zip(
                self._class_order(epoch), self._counts(), strict=True
            )
        ]
        slots = zip(np.concatenate(chosen), self._slots, strict=True)
        return np.concatenate([self._chosen(i, epoch)[:count] for i, count in slots])

    def _counts(self) -> tuple[int, int]:
        return self._large_slots, len(self._slots) - self._large_slots

    def _order_classes(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Classes for the large slots of an epoch, and for its other slots."""
        rng = np.random.default_rng([*self._seed, _CLASS_ORDER, epoch])
        order = rng.permutation(len(self._images))
        needed, others = (self.batches_per_epoch * count for count in self._counts())
        if not others:
            return order[:needed], order[:0]
        taken, left = np.split(order, [needed + others])
        large, small = (taken[self._is_large[taken] == kind] for kind in (True, False))
        # Rarely too few of those taken are large: then some that were left come in.
        large = np.concatenate([large, left[self._is_large[left]]])
        large = large[: max(needed, needed + others - len(small))]
        rest = np.concatenate([large[needed:], small])[:others]
        return large[:needed], rng.permutation(rest)

    def _chosen(self, class_index: int, epoch: int) -> np.ndarray:
        images = self._images[class_index]
        draws_per_order = max(1, len(images) // self._largest)
        order_number, turn = divmod(epoch, draws_per_order)
        rng = np.random.default_rng(
            [*self._seed, _IMAGE_ORDER, int(class_index), order_number]
        )
        start = turn * self._largest
        order = rng.permutation(images)
        if len(order) < self._largest:
            return np.resize(order, self._largest)
        return order[start : start + self._largest]
