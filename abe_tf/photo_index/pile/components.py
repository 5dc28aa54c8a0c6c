"""Which photos hang together: by chains of pairs no farther apart than a limit.

All pairs are looked at, tile by tile, and none is kept: only who hangs together is.
Most pairs are ruled out by few dimensions. Of the ensemble distance D of M learners,
each at most 2, follows how large the sum S of their squares may be; and projected onto
some directions, a difference of vectors is never longer than it was.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import io
import os
import sys
import threading
import time
from collections.abc import Sequence

import numpy as np
import threadpoolctl

from abe_tf.errors import InputError
from abe_tf.layout import Layout
from abe_tf.photo_index import vectors
from abe_tf.photo_index.pile import loops
from abe_tf.photo_index.scan import threads
from abe_tf.photo_index.vectors import Segment
from abe_tf.storage import files

FOLDER = "pile"
# Rows and columns of a tile.
_ROWS, _COLUMNS = 1_024, 1_024
# Rows that the directions are found by, and pairs that tell how much they rule out.
_SAMPLE, _SAMPLED_PAIRS = 8_192, 200_000
# To measure a pair that passes takes as long as so many dimensions of one.
_MEASURED = 16_000
# What float32 rounds in the squared length of a difference, generously.
_ROUNDING = 1e-4
# Seconds between two states on disk; how many pieces of work are remembered there.
_EVERY, _REMEMBERED = 30.0, 32
# Rows below which comparing them again takes a few seconds, and fewer directions bring
# nothing.
_WORTH_KEEPING, _WORTH_PROJECTING = 10_000, 4_096


_LIMITING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Work:
    """Where a search for components keeps how far it is.

    Attributes:
      folder: Folder of the index.
      generation: Generation of its vectors.
      quiet: Whether to say nothing of how far it is.
    """

    folder: str
    generation: int
    quiet: bool = False

    def path(self, rows: np.ndarray, limit: float) -> str | None:
        """The file for some rows and a limit; `None` where there shall be none."""
        if len(rows) < _WORTH_KEEPING or not os.access(self.folder, os.W_OK):
            return None
        digest = hashlib.sha256(np.ascontiguousarray(rows, np.int64).tobytes())
        digest.update(f"{self.generation} {limit!r}".encode())
        return os.path.join(self.folder, FOLDER, f"{digest.hexdigest()[:24]}.npz")

    def is_done(self, rows: np.ndarray, limit: float) -> bool:
        """Whether all pairs were compared already."""
        return _resumed(self.path(rows, limit), len(rows))[1] == len(rows)


def components(
    segments: Sequence[Segment], rows: np.ndarray, limit: float, work: Work
) -> np.ndarray:
    """Which rows hang together.

    Whoever is killed goes on where the last state was kept, half a minute before.

    Args:
      segments: All embeddings.
      rows: int64, ascending: those that are looked at.
      limit: Ensemble distance of a pair at most.
      work: Where to keep how far it is.

    Returns:
      int64 `[len(rows)]`: the position in `rows` of the first of its component.
    """
    path = work.path(rows, limit)
    parent, first = _resumed(path, len(rows))
    if first < len(rows):
        _compare(segments, rows, limit, work, path, parent, first)
        _keep(path, parent, len(rows))
    return loops.roots(parent)


def _compare(
    segments: Sequence[Segment],
    rows: np.ndarray,
    limit: float,
    work: Work,
    path: str | None,
    parent: np.ndarray,
    first: int,
) -> None:
    """Looks at all pairs from a row on, and joins those within the limit."""
    layout = segments[0].layout
    rounding = _ROUNDING * sum(length**2 for length in layout.lengths)
    bound = largest_square(limit, layout) + rounding
    right = _right_factors(_projected(segments, rows, bound))
    forests = [parent, *(parent.copy() for _ in range(1, threads()))]

    def tiles(start: int, thread: int) -> None:
        block = slice(start, start + _ROWS)
        left = _left_factors(right[block])
        ones = vectors.gather(segments, rows[block])
        # The first begins with the block itself; all before it were compared already.
        columns = range(start, len(rows), _COLUMNS)[thread :: len(forests)]
        for column in columns:
            others = slice(column, column + _COLUMNS)
            loops.join(
                squares=left @ right[others].T,
                bound=np.float32(bound),
                start=start,
                column=column,
                parent=forests[thread],
                ones=ones,
                others=vectors.gather(segments, rows[others]),
                limit=limit,
            )

    kept = time.monotonic()
    with (
        # Of the whole process: who came second would restore what the first has set.
        _LIMITING,
        threadpoolctl.threadpool_limits(1, "blas"),
        concurrent.futures.ThreadPoolExecutor(len(forests)) as pool,
    ):
        for start in range(first, len(rows), _ROWS):
            list(pool.map(functools.partial(tiles, start), range(len(forests))))
            for other in forests[1:]:
                loops.merge(parent, other)
            for other in forests[1:]:
                other[:] = parent
            if time.monotonic() - kept > _EVERY:
                kept = time.monotonic()
                _keep(path, parent, start + _ROWS)
                _tell(work, start + _ROWS, len(rows))


def largest_square(limit: float, layout: Layout) -> float:
    """How large the learners' squared distances can be in sum.

        >>> one, eight = Layout.equal(1, 4), Layout.equal(8, 4)
        >>> largest_square(0.5, one), largest_square(0.5, eight)
        (0.25, 8.0)

    Args:
      limit: Their plain distances' mean at most.
      layout: Lengths of the learners, twice which no distance exceeds.
    """
    left, squares = limit * layout.learners, 0.0
    # Squares in sum are largest where the longest are as far apart as can be.
    for length in sorted(layout.lengths, reverse=True):
        distance = min(left, 2 * length)
        left, squares = left - distance, squares + distance**2
    return squares


def _projected(
    segments: Sequence[Segment], rows: np.ndarray, bound: float
) -> np.ndarray:
    """The rows in as few dimensions as rule out as much, float32 `[rows, dimensions]`.

    Of many rows the last is the length of what was left out: lengths differ no more
    than vectors.
    """
    if len(rows) < _WORTH_PROJECTING:
        return vectors.gather(segments, rows).reshape(len(rows), -1)
    some = rows[:: max(1, len(rows) // _SAMPLE)]
    sample = vectors.gather(segments, some).reshape(len(some), -1)
    middle = sample.mean(0)
    _, directions = np.linalg.eigh(np.cov((sample - middle).T.astype(np.float64)))
    basis = directions[:, ::-1].astype(np.float32)
    basis = basis[:, : _dimensions((sample - middle) @ basis, bound)]
    projected = np.empty([len(rows), basis.shape[1] + 1], np.float32)
    for start in range(0, len(rows), _COLUMNS):
        part = slice(start, start + _COLUMNS)
        full = vectors.gather(segments, rows[part])
        full = full.reshape(len(full), -1) - middle
        short = full @ basis
        rest = np.square(full).sum(1) - np.square(short).sum(1)
        projected[part, :-1], projected[part, -1] = short, np.sqrt(np.maximum(0, rest))
    return projected


def _dimensions(sample: np.ndarray, bound: float) -> int:
    generator = np.random.default_rng(0)
    passing = np.zeros(sample.shape[1])
    for _ in range(0, _SAMPLED_PAIRS, _ROWS):
        one, other = generator.integers(0, len(sample), [2, _ROWS])
        squares = np.square(sample[one] - sample[other])
        passing += (np.cumsum(squares, 1) <= bound).sum(0) / _SAMPLED_PAIRS
    cost = np.arange(sample.shape[1]) + _MEASURED * passing
    return int(np.argmin(cost)) + 1


def _right_factors(projected: np.ndarray) -> np.ndarray:
    """With `_left_factors`, what has squared differences as inner products."""
    squares = np.square(projected).sum(1, keepdims=True)
    return np.concatenate([projected, np.ones_like(squares), squares], 1)


def _left_factors(right: np.ndarray) -> np.ndarray:
    projected, ones, squares = right[:, :-2], right[:, -2:-1], right[:, -1:]
    return np.concatenate([-2 * projected, squares, ones], 1)


def _resumed(path: str | None, count: int) -> tuple[np.ndarray, int]:
    """Who hangs together so far, and the first row that was not looked at."""
    if path and os.path.isfile(path):
        try:
            # Used now: others are forgotten before it.
            os.utime(path)
            with np.load(path) as kept:
                parent, first = kept["parent"], int(kept["first"])
            if parent.shape == (count,):
                return parent, first
        except Exception as error:  # noqa: BLE001  (zip, zlib, NumPy: each has its own)
            print(f"Begun anew: {path} is damaged ({error}).", file=sys.stderr)
    return np.arange(count), 0


def _keep(path: str | None, parent: np.ndarray, first: int) -> None:
    if path is None:
        return
    folder = os.path.dirname(path)
    file = io.BytesIO()
    np.savez(file, parent=parent, first=min(first, len(parent)))
    try:
        os.makedirs(folder, exist_ok=True)
        files.write_atomically(path, file.getvalue())
    except (InputError, OSError) as error:
        # The work goes on; only who kills it begins anew.
        print(f"How far it is cannot be kept: {error}", file=sys.stderr)
        return
    kept = [os.path.join(folder, name) for name in os.listdir(folder)]
    # Another command may forget the same ones at the same time.
    with contextlib.suppress(FileNotFoundError):
        kept = [one for one in kept if one.endswith(".npz")]
        for old in sorted(kept, key=os.path.getmtime)[:-_REMEMBERED]:
            os.remove(old)


def _tell(work: Work, done: int, count: int) -> None:
    if not work.quiet:
        # What is left of a row's comparisons falls from row to row.
        share = 1 - ((count - min(done, count)) / count) ** 2
        print(f"{share:.0%} of all pairs compared", file=sys.stderr, flush=True)
