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

from abe_tf.retrieval import counting, distances
from abe_tf.retrieval.matrix import Bounds, DistanceMatrix

# The rank of a query without an image of its class.
NEVER = np.iinfo(np.int64).max
# Of a query's own place, where it is not in the gallery.
_NOWHERE = -(2**40)


def nearest_positive_ranks(
    matrix: DistanceMatrix,
    block: int = 512,
    kinds: tuple[str, ...] = distances.KINDS,
) -> np.ndarray:
    """How many images of other classes are at most as far as the nearest of its own.

        >>> from abe_tf.retrieval.embedded import Embedded
        >>> x = np.array([[[1, 0]], [[0.8, 0.6]], [[0.6, 0.8]], [[0, 1]]], np.float32)
        >>> matrix = DistanceMatrix.of(Embedded(x, np.array([0, 0, 1, 1])))
        >>> nearest_positive_ranks(matrix, kinds=("ensemble",))
        array([[0, 1, 1, 0]])

    Args:
      matrix: The distances between queries and gallery.
      block: Edge of the tiles of the distance matrix; a thread holds one of them
        for each learner, half as high where there are several.
      kinds: The distances, of `distances.KINDS` and in their order.

    Returns:
      `[kinds, queries]` int64: by each learner, by ensemble distance, by concatenated
      distance, as far as they are among the kinds; `NEVER` for a query without an
      image of its class.
    """
    tiles = _Tiles(matrix, block, kinds)
    nearest = tiles.nearest_positives()
    without = np.isinf(nearest)
    noise = distances.tolerances(matrix.noise_floor, matrix.num_learners, kinds)
    limits = np.where(without, -np.inf, np.maximum(nearest, 0) + noise)
    counts = tiles.count_negatives(limits.astype(np.float32))
    counts[without] = NEVER
    ranks = np.empty_like(counts)
    ranks[:, matrix.rows.order] = counts
    return ranks


class _Tiles:
    """A distance matrix: each thread has a tile of it at a time.

    Threads multiply by themselves. One multiplication that all share would have to
    wait for all before the counting, and again after it.
    """

    def __init__(
        self, matrix: DistanceMatrix, block: int, kinds: tuple[str, ...]
    ) -> None:
        learners = matrix.num_learners
        self._rows, self._columns = matrix.rows, matrix.columns
        # A tile of several learners is a stack of as many. The width is a multiple of
        # the height, or tiles would straddle the diagonal.
        self._height = block if learners == 1 else max(1, block // 2)
        self._width = block if learners == 1 else 2 * self._height
        self._same = matrix.has_one_side
        self._noise_floor = matrix.noise_floor
        self._kinds = tuple(kind in kinds for kind in distances.KINDS)
        self._number = len(distances.tolerances(self._noise_floor, learners, kinds))
        self._multiply = Multiplication(self._height * self._width * learners)

    def nearest_positives(self) -> np.ndarray:
        """`[kinds, rows]` float32, infinite without a positive."""
        rows, columns = self._rows, self._columns
        nearest = np.full([self._number, len(rows.labels)], np.inf, np.float32)

        def look(row: Bounds) -> None:
            here, left = nearest[:, slice(*row)], rows.left(*row)
            for column in columns.blocks(self._width, *columns.classes_of(rows, *row)):
                counting.nearest_positives(
                    tile=self._tile(left, column),
                    noise_floor=self._noise_floor,
                    kinds=self._kinds,
                    row_labels=rows.labels[slice(*row)],
                    column_labels=columns.labels[slice(*column)],
                    shift=row[0] - column[0] if self._same else _NOWHERE,
                    nearest=here,
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
                    left=left,
                    row=row,
                    column=column,
                    limits=limits,
                    by_row=by_row,
                    by_column=by_column[:, column[0] - start : column[1] - start],
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
            tile=self._tile(left, column),
            noise_floor=self._noise_floor,
            kinds=self._kinds,
            row_limits=limits[:, slice(*row)],
            column_limits=column_limits,
            row_labels=rows,
            column_labels=columns,
            mixed=mixed,
            mirrored=mirrored,
            by_row=by_row,
            by_column=by_column,
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
