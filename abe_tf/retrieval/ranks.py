"""Ranks of positives by counting, tile by tile of the distance matrix.

Nothing is sorted and no top K is kept: once the distance of a query's nearest positive
is known, its rank is the number of negatives that are at most as far. Ties therefore
count against the query. Memory is that of a tile, whatever the number of images.
"""

from __future__ import annotations

import concurrent.futures
import os
import threading
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
import threadpoolctl

from abe_tf.errors import InputError
from abe_tf.retrieval import counting, distances
from abe_tf.retrieval.embedded import Embedded

# The rank of a query without an image of its class.
NEVER = np.iinfo(np.int64).max
# Of a query's own place, where it is not in the gallery.
_NOWHERE = -(2**40)

Bounds = tuple[int, int]


class Side:
    """Queries or gallery, sorted by class so that most tiles hold negatives only.

    Args:
      learner_embeddings: `[images, learners, dim]` floating point.
      labels: `[images]` classes.

    Attributes:
      order: `[images]` positions in the given order.
      labels: `[images]` sorted classes.
      learners: How many.
      right: As of `distances.augmented`.
    """

    def __init__(self, learner_embeddings: np.ndarray, labels: np.ndarray) -> None:
        labels = np.asarray(labels)
        self.order = np.argsort(labels, kind="stable")
        self.labels = labels[self.order]
        self.learners = learner_embeddings.shape[1]
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


def sides(queries: Embedded, gallery: Embedded | None) -> tuple[Side, Side, np.float32]:
    """Queries, gallery and the floor of their distances; one side where no gallery.

    Raises:
      InputError: They have different learners.
    """
    ours = queries.learner_embeddings
    if gallery is None:
        (scaled,), floor = distances.comparable(ours)
        rows = Side(scaled, queries.labels)
        return rows, rows, floor
    theirs = gallery.learner_embeddings
    if ours.shape[1:] != theirs.shape[1:]:
        raise InputError(
            "Queries and gallery must be embedded by one model. Received: [learners, "
            f"dim] of {list(ours.shape[1:])} and {list(theirs.shape[1:])}."
        )
    (ours, theirs), floor = distances.comparable(ours, theirs)
    return Side(ours, queries.labels), Side(theirs, gallery.labels), floor


def factors(
    rows: Side, columns: Side, row: Bounds, column: Bounds
) -> tuple[tf.Tensor, tf.Tensor]:
    """What a tile is the product of, for functions on TensorFlow."""
    left, right = rows.left(*row), columns.right[:, slice(*column)]
    return tf.constant(left), tf.constant(right)


def excluded(
    rows: Side, columns: Side, row: Bounds, column: Bounds, negatives: bool
) -> tf.Tensor:
    """Which pairs of a tile are out, `[rows, columns]` bool.

    Args:
      rows: Queries.
      columns: Gallery.
      row: Bounds of the queries.
      column: Bounds of the gallery.
      negatives: Whether all images of a query's class are out; itself alone otherwise.
    """
    if negatives:
        own = rows.labels[slice(*row), np.newaxis]
        return tf.constant(own == columns.labels[slice(*column)])
    if rows is not columns:
        return tf.zeros([row[1] - row[0], column[1] - column[0]], tf.bool)
    return tf.constant(np.arange(*row)[:, np.newaxis] == np.arange(*column))


def nearest_positive_ranks(
    queries: Embedded,
    block: int = 512,
    gallery: Embedded | None = None,
    kinds: tuple[str, ...] = distances.KINDS,
) -> np.ndarray:
    """How many images of other classes are at most as far as the nearest of its own.

    Args:
      queries: What is looked for.
      block: Edge of the tiles of the distance matrix; a thread holds one of them
        for each learner, half as high where there are several.
      gallery: Where it is looked for; among the other queries where `None`.
      kinds: The distances, of `distances.KINDS` and in their order.

    Returns:
      `[kinds, queries]` int64: by each learner, by ensemble distance, by concatenated
      distance, as far as they are among the kinds; `NEVER` for a query without an
      image of its class.

    Raises:
      InputError: Queries and gallery have different learners.
    """
    if kinds == ("concatenated",):
        # As one long learner: one multiplication for each tile.
        queries = _joined(queries)
        gallery = None if gallery is None else _joined(gallery)
    rows, columns, floor = sides(queries, gallery)
    tiles = _Tiles(rows, columns, block, floor, kinds)
    nearest = tiles.nearest_positives()
    without = np.isinf(nearest)
    noise = distances.tolerances(floor, queries.learners, kinds)
    limits = np.where(without, -np.inf, np.maximum(nearest, 0) + noise)
    counts = tiles.count_negatives(limits.astype(np.float32))
    counts[without] = NEVER
    ranks = np.empty_like(counts)
    ranks[:, rows.order] = counts
    return ranks


def _joined(embedded: Embedded) -> Embedded:
    return Embedded(embedded.concatenated()[:, np.newaxis], embedded.labels)


class _Tiles:
    """The distance matrix, never whole: each thread has a tile of it at a time.

    Threads multiply by themselves. One multiplication that all share would have to
    wait for all before the counting, and again after it.
    """

    def __init__(
        self,
        rows: Side,
        columns: Side,
        block: int,
        floor: np.float32,
        kinds: tuple[str, ...],
    ) -> None:
        self._rows, self._columns = rows, columns
        # A tile of several learners is a stack of as many. The width is a multiple of
        # the height, or tiles would straddle the diagonal.
        self._height = block if rows.learners == 1 else max(1, block // 2)
        self._width = block if rows.learners == 1 else 2 * self._height
        self._same = rows is columns
        self._floor = floor
        self._kinds = tuple(kind in kinds for kind in distances.KINDS)
        self._number = len(distances.tolerances(floor, rows.learners, kinds))
        self._multiply = Multiplication(self._height * self._width * rows.learners)

    def nearest_positives(self) -> np.ndarray:
        """`[kinds, rows]` float32, infinite without a positive."""
        rows, columns = self._rows, self._columns
        nearest = np.full([self._number, len(rows.labels)], np.inf, np.float32)

        def look(row: Bounds) -> None:
            here, left = nearest[:, slice(*row)], rows.left(*row)
            for column in columns.blocks(self._width, *columns.classes_of(rows, *row)):
                counting.nearest_positives(
                    *(self._tile(left, column), self._floor, self._kinds),
                    *(rows.labels[slice(*row)], columns.labels[slice(*column)]),
                    *(row[0] - column[0] if self._same else _NOWHERE, here),
                )

        in_threads(look, rows.blocks(self._height))
        return nearest

    def count_negatives(self, limits: np.ndarray) -> np.ndarray:
        """Negatives up to the limits, `[kinds, rows]` int64."""
        rows, columns = self._rows, self._columns
        counts = np.zeros(limits.shape, np.int64)
        lock = threading.Lock()

        def count(row: Bounds) -> None:
            # What lies before, other threads count for both sides of the diagonal.
            start = row[0] // self._width * self._width if self._same else 0
            by_row = np.zeros([self._number, row[1] - row[0]], np.int64)
            by_column = np.zeros([self._number, len(columns.labels) - start], np.int32)
            left = rows.left(*row)
            for column in columns.blocks(self._width, start):
                self._count_in_tile(
                    *(left, row, column, limits, by_row),
                    by_column[:, column[0] - start : column[1] - start],
                    mirrored=self._same and column[0] > start,
                )
            with lock:
                counts[:, slice(*row)] += by_row
                if self._same:
                    counts[:, start:] += by_column

        in_threads(count, rows.blocks(self._height))
        return counts

    def _count_in_tile(
        self,
        left: np.ndarray,
        row: Bounds,
        column: Bounds,
        limits: np.ndarray,
        by_row: np.ndarray,
        by_column: np.ndarray,
        mirrored: bool,
    ) -> None:
        rows = self._rows.labels[slice(*row)]
        columns = self._columns.labels[slice(*column)]
        mixed = not (rows[-1] < columns[0] or columns[-1] < rows[0])
        column_limits = limits[:, slice(*column)] if mirrored else limits[:, :1]
        counting.count_negatives(
            *(self._tile(left, column), self._floor, self._kinds),
            *(limits[:, slice(*row)], column_limits, rows, columns),
            *(mixed, mirrored, by_row, by_column),
        )

    def _tile(self, left: np.ndarray, column: Bounds) -> np.ndarray:
        return self._multiply(left, self._columns.right[:, slice(*column)])


class Multiplication:
    """Multiplies the factors of tiles: on a GPU if there is one, or with NumPy.

    NumPy writes into the same memory each time. TensorFlow takes new memory from the
    system for each tile, which costs as much as the multiplication.

    Args:
      room: Floats of the largest tile.
    """

    def __init__(self, room: int) -> None:
        self._on_gpu = bool(tf.config.list_logical_devices("GPU"))
        self._room, self._of_thread = room, threading.local()

    def __call__(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """The product of `[learners, rows, dim]` and `[learners, columns, dim]`."""
        if self._on_gpu:
            return on_tensorflow(left, right)
        if not hasattr(self._of_thread, "memory"):
            self._of_thread.memory = np.empty(self._room, np.float32)
        shape = *left.shape[:2], right.shape[1]
        tile = self._of_thread.memory[: np.prod(shape)].reshape(shape)
        return np.matmul(left, right.swapaxes(1, 2), out=tile)


def on_tensorflow(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The same where TensorFlow computes by default."""
    return tf.matmul(left, right, transpose_b=True).numpy()


def in_threads(work: Callable[[Bounds], None], blocks: Iterator[Bounds]) -> None:
    """Has as many threads as there are processors work on blocks."""
    threads = len(os.sched_getaffinity(0))
    with (
        threadpoolctl.threadpool_limits(1, "blas"),
        concurrent.futures.ThreadPoolExecutor(threads) as pool,
    ):
        # To raise what was raised in a thread.
        for _ in pool.map(work, blocks):
            pass
