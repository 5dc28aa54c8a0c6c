"""Batches of P classes x K images, each a function of the seed and its number alone.

Nothing is carried from batch to batch, so a run that stopped after step n goes on with
batch n + 1 without drawing the n before it.
"""

from __future__ import annotations

import numpy as np

from abe_tf.errors import InputError

# Kinds of random numbers, so that equal counters give independent streams.
_CLASS_ORDER, _IMAGE_ORDER = 0, 1


class ClassSampler:
    """Draws P classes and K images of each.

    An epoch is as many batches as have room for all classes: classes // P. Each epoch
    puts the classes in a new random order and takes P after P; the classes % P at its
    end are left out of it. A class gives K images an epoch, taken from a random order
    of its images; what is left when fewer than K remain is left out of that order.

    Args:
      labels: `[images]` integer classes.
      classes_per_batch: P.
      images_per_class: K.
      seed: Not negative.
      class_names: Names of the classes for messages, by label; the numbers where
        `None`.

    Raises:
      InputError: There are fewer than P classes, or a class has fewer than K images.
    """

    def __init__(
        self,
        labels: np.ndarray,
        classes_per_batch: int,
        images_per_class: int,
        seed: int,
        class_names: tuple[str, ...] | None = None,
    ) -> None:
        classes, first, counts = np.unique(
            np.sort(labels), return_index=True, return_counts=True
        )
        if len(classes) < classes_per_batch:
            raise InputError(
                "--classes_per_batch must be at most the number of training classes. "
                f"Received: {classes_per_batch}, with {len(classes)} classes."
            )
        smallest = int(np.argmin(counts))
        if counts[smallest] < images_per_class:
            label = classes[smallest]
            name = class_names[label] if class_names else label
            raise InputError(
                "--images_per_class must be at most the images of the smallest "
                f"training class. Received: {images_per_class}; class {name} has "
                f"{counts[smallest]}. Lower it, or leave the class out."
            )
        order = np.argsort(labels, kind="stable")
        self._images = np.split(order, first[1:])
        self._classes_per_batch = classes_per_batch
        self._images_per_class = images_per_class
        self._seed = seed

    @property
    def batches_per_epoch(self) -> int:
        """Batches in which each class comes at most once."""
        return len(self._images) // self._classes_per_batch

    def batch(self, number: int) -> np.ndarray:
        """The batch of a step.

        Args:
          number: Counts from 0.

        Returns:
          `[P * K]` int64 positions in `labels`, class after class, none twice.
        """
        epoch, place = divmod(number, self.batches_per_epoch)
        rng = np.random.default_rng([self._seed, _CLASS_ORDER, epoch])
        order = rng.permutation(len(self._images))
        start = place * self._classes_per_batch
        chosen = order[start : start + self._classes_per_batch]
        return np.concatenate([self._draw(index, epoch) for index in chosen])

    def _draw(self, class_index: int, epoch: int) -> np.ndarray:
        images = self._images[class_index]
        draws_per_order = len(images) // self._images_per_class
        order_number, draw = divmod(epoch, draws_per_order)
        rng = np.random.default_rng(
            [self._seed, _IMAGE_ORDER, int(class_index), order_number]
        )
        start = draw * self._images_per_class
        return rng.permutation(images)[start : start + self._images_per_class]
