"""The nearest rows by ensemble distance, exactly: a pass over all of them.

Codes tell for most rows that they are too far (`bounds.py`); the distance of the others
is computed from their vectors, in float64. Over codes these are 16-bit products in
32-bit sums, which compilers turn into vector instructions where the dimensions are
constants: so there is a loop for each shape of learner embeddings.
"""

from __future__ import annotations

import concurrent.futures
import functools
import os
from collections.abc import Callable, Sequence

import numpy as np

from abe_tf.compiled import as_numpy
from abe_tf.photo_index.bounds import encoded_query
from abe_tf.photo_index.vectors import Segment

# Of a sum of distances: what rounding it to float32 may change, and an absolute part.
_SLACK, _LEAST_SLACK = 1e-6, 1e-5
# Rows below which a second thread costs more than it brings.
_WORTH_A_THREAD = 20_000


def threads() -> int:
    """As many as this process may use processors."""
    return len(os.sched_getaffinity(0))


def nearest(
    segments: Sequence[Segment],
    query: np.ndarray,
    count: int,
    wanted: np.ndarray | None = None,
    workers: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest rows by ensemble distance, nearest first, equal ones by row.

    Args:
      segments: All rows.
      query: float32 `[learners, dim]`, its learners as long as those of the rows.
      count: Number of rows; fewer where fewer are wanted.
      wanted: `[rows]` bool, which are looked at; all where `None`.
      workers: Threads; `threads` where `None`.

    Returns:
      int64 rows, and float64 distances: the mean over learners of Euclidean distances.
    """
    rows = sum(len(segment.vectors) for segment in segments)
    count = min(count, rows)
    if not count:
        return np.empty(0, np.int64), np.empty(0)
    if wanted is None:
        wanted = np.ones(rows, bool)
    layout = segments[0].layout
    codes, bounds = encoded_query(query, layout)
    scan = _loop(*query.shape)
    double_squares = 2 * np.square(np.array(layout.lengths, np.float32))

    def look(part: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        distances, nearest_rows = np.full(count, np.inf), np.full(count, -1, np.int64)
        number = 0
        for segment in segments:
            begin = max(0, part[0] - segment.first)
            end = min(len(segment.vectors), part[1] - segment.first)
            if begin < end:
                number = scan(
                    codes=segment.codes.reshape(-1),
                    bounds=segment.bounds,
                    vectors=segment.vectors,
                    wanted=wanted[segment.first :],
                    query_codes=codes.reshape(-1),
                    query_bounds=bounds,
                    double_squares=double_squares,
                    query=query,
                    begin=begin,
                    end=end,
                    first=segment.first,
                    number=number,
                    distances=distances,
                    nearest_rows=nearest_rows,
                )
        # They lie farthest first.
        return distances[:number][::-1], nearest_rows[:number][::-1]

    parts = _parts(rows, threads() if workers is None else workers)
    merged = [look(parts[0])] if len(parts) == 1 else list(_pool().map(look, parts))
    distances = np.concatenate([part[0] for part in merged])
    nearest_rows = np.concatenate([part[1] for part in merged])
    order = np.lexsort((nearest_rows, distances))[:count]
    return nearest_rows[order], distances[order] / len(query)


def _parts(rows: int, workers: int) -> list[tuple[int, int]]:
    workers = max(1, min(workers, rows // _WORTH_A_THREAD))
    edges = [rows * number // workers for number in range(workers + 1)]
    return list(zip(edges[:-1], edges[1:], strict=True))


@functools.cache
def _pool() -> concurrent.futures.ThreadPoolExecutor:
    return concurrent.futures.ThreadPoolExecutor(threads())


@as_numpy
def exact(query, vector):  # type: ignore[no-untyped-def]
    """The ensemble distance times the learners, in float64."""
    total = 0.0
    for learner in range(query.shape[0]):
        square = 0.0
        for i in range(query.shape[1]):
            difference = np.float64(query[learner, i]) - np.float64(vector[learner, i])
            square += difference * difference
        total += np.sqrt(square)
    return total


@as_numpy
def _keep(distances, rows, number, distance, row):  # type: ignore[no-untyped-def]
    """Puts a row among the best, which lie farthest first; how many there are."""
    if number < distances.shape[0]:
        place = number
        while place and distances[place - 1] <= distance:
            distances[place] = distances[place - 1]
            rows[place] = rows[place - 1]
            place -= 1
        distances[place], rows[place] = distance, row
        return number + 1
    if distance >= distances[0]:
        return number
    place = 0
    while place + 1 < number and distances[place + 1] > distance:
        distances[place] = distances[place + 1]
        rows[place] = rows[place + 1]
        place += 1
    distances[place], rows[place] = distance, row
    return number


@functools.cache
def _loop(learners: int, dim: int) -> Callable[..., int]:
    """The loop for one shape of learner embeddings, which the compiler then knows."""
    zero, two = np.float32(0), np.float32(2)

    @as_numpy
    def scan(  # type: ignore[no-untyped-def]
        codes,
        bounds,
        vectors,
        wanted,
        query_codes,
        query_bounds,
        double_squares,
        query,
        begin,
        end,
        first,
        number,
        distances,
        nearest_rows,
    ):
        limit = np.float32(np.inf)
        if number == distances.shape[0]:
            limit = np.float32(distances[0] * (1 + _SLACK) + _LEAST_SLACK)
        for row in range(begin, end):
            if not wanted[row]:
                continue
            scale = -two * bounds[row, 0] * query_bounds[0]
            slack = two * (bounds[row, 1] + query_bounds[1])
            base = row * learners * dim
            total = zero
            for learner in range(learners):
                product = np.int32(0)
                start = learner * dim
                for i in range(dim):
                    product = np.int32(
                        product
                        + np.int32(query_codes[start + i])
                        * np.int32(codes[base + start + i])
                    )
                rest = double_squares[learner] - slack
                total += np.sqrt(max(zero, np.float32(product) * scale + rest))
            if total <= limit:
                distance = exact(query, vectors[row])
                number = _keep(distances, nearest_rows, number, distance, first + row)
                if number == distances.shape[0]:
                    limit = np.float32(distances[0] * (1 + _SLACK) + _LEAST_SLACK)
        return number

    return scan
