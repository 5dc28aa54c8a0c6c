"""The matrix of distances between queries and gallery, prepared once and never whole.

Every measure goes over it by tiles: the same two sides, sorted by class, serve ranks,
rankings, nearest images and sub-ensembles.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from abe_tf.errors import InputError
from abe_tf.retrieval import distances
from abe_tf.retrieval.embedded import Embedded

Bounds = tuple[int, int]


class Side:
    """Queries or gallery, sorted by class so that most tiles hold negatives only.

    Args:
      learner_embeddings: `[images, learners, dim]` floating point.
      labels: `[images]` classes.

    Attributes:
      order: `[images]` positions in the given order.
      labels: `[images]` sorted classes.
      num_learners: Number of learners.
      right: The right factors, as returned by `distances.augmented`.
    """

    def __init__(self, learner_embeddings: np.ndarray, labels: np.ndarray) -> None:
        labels = np.asarray(labels)
        self.order = np.argsort(labels, kind="stable")
        self.labels = labels[self.order]
        self.num_learners = learner_embeddings.shape[1]
        self.right = distances.augmented(learner_embeddings, self.order)

    def left(self, start: int, end: int) -> np.ndarray:
        """The left factor of some rows of the distance matrix."""
        return distances.other_factor(self.right[:, start:end])

    def blocks(
        self, size: int, start: int = 0, end: int | None = None
    ) -> Iterator[Bounds]:
        """Portions of at most `size` images, as pairs of bounds."""
        end = len(self.labels) if end is None else end
        for first in range(start, end, size):
            yield first, min(first + size, end)

    def classes_of(self, other: Side, start: int, end: int) -> Bounds:
        """Bounds of the images here that have a class of `other[start:end]`."""
        low = np.searchsorted(self.labels, other.labels[start], "left")
        high = np.searchsorted(self.labels, other.labels[end - 1], "right")
        return int(low), int(high)


@dataclasses.dataclass(frozen=True)
class DistanceMatrix:
    """Rows are queries, columns the gallery; one side where queries are the gallery.

    Attributes:
      rows: The queries.
      columns: The gallery; the same object as `rows` where each query is looked for
        among the others.
      noise_floor: Squared distance that counts as 0, see `distances.noise_floor`.
    """

    rows: Side
    columns: Side
    noise_floor: np.float32

    @classmethod
    def of(cls, queries: Embedded, gallery: Embedded | None = None) -> DistanceMatrix:
        """Prepares the sides.

        Args:
          queries: The images that are looked for.
          gallery: The images among which; the other queries where `None`.

        Raises:
          InputError: They have different learners.
        """
        ours = queries.learner_embeddings
        if gallery is None:
            (scaled,), noise_floor = distances.comparable(ours)
            rows = Side(scaled, queries.labels)
            return cls(rows, rows, noise_floor)
        theirs = gallery.learner_embeddings
        if ours.shape[1:] != theirs.shape[1:]:
            raise InputError(
                "Queries and gallery must be embedded by one model. Received: "
                f"[learners, dim] of {list(ours.shape[1:])} and "
                f"{list(theirs.shape[1:])}."
            )
        (ours, theirs), noise_floor = distances.comparable(ours, theirs)
        return cls(
            Side(ours, queries.labels), Side(theirs, gallery.labels), noise_floor
        )

    @property
    def has_one_side(self) -> bool:
        """Whether queries are looked for among each other."""
        return self.rows is self.columns

    @property
    def num_learners(self) -> int:
        """Number of learners."""
        return self.rows.num_learners

    def factors(self, row: Bounds, column: Bounds) -> tuple[tf.Tensor, tf.Tensor]:
        """Left and right factor of a tile, for functions on TensorFlow."""
        left, right = self.rows.left(*row), self.columns.right[:, slice(*column)]
        return tf.constant(left), tf.constant(right)

    def excluded(self, row: Bounds, column: Bounds, negatives: bool) -> tf.Tensor:
        """Which pairs of a tile are left out, `[rows, columns]` bool.

        Args:
          row: Bounds of the queries.
          column: Bounds of the gallery.
          negatives: Whether only negatives stay: all images of a query's class are
            left out. Otherwise only the query itself is.
        """
        if negatives:
            own = self.rows.labels[slice(*row), np.newaxis]
            return tf.constant(own == self.columns.labels[slice(*column)])
        if not self.has_one_side:
            return tf.zeros([row[1] - row[0], column[1] - column[0]], tf.bool)
        return tf.constant(np.arange(*row)[:, np.newaxis] == np.arange(*column))
