"""Learner embeddings on disk, appended and never changed, and their 8-bit codes.

vectors/GENERATION-SEGMENT.f32     float32 [rows, learners, dim]
vectors/GENERATION-SEGMENT.i8      int8 [rows, learners, dim], derived
vectors/GENERATION-SEGMENT.bounds  float32 [rows, 2], derived: a code's unit, and how
                                   wrong inner products of codes may be

Rows beyond the number that the database states do not exist: what a writer that was
killed has left there is overwritten.
"""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Sequence

import numpy as np

from abe_tf.errors import InputError
from abe_tf.layout import Layout
from abe_tf.photo_index.bounds import encoded
from abe_tf.storage.files import sync

FOLDER = "vectors"
SEGMENT_ROWS = 65_536
# What learners may be off their length; bfloat16 networks normalise in float32.
_OFF = 1e-3


@dataclasses.dataclass(frozen=True)
class Segment:
    """Some rows, mapped from disk.

    Attributes:
      first: Number of the first row.
      vectors: float32 `[rows, learners, dim]`.
      codes: int8, the same shape.
      bounds: float32 `[rows, 2]`.
      layout: Lengths of the learners.
    """

    first: int
    vectors: np.ndarray
    codes: np.ndarray
    bounds: np.ndarray
    layout: Layout


def append(
    folder: str, generation: int, rows: int, embeddings: np.ndarray, layout: Layout
) -> int:
    """Writes rows behind those that there are; they count once the database says so.

    Args:
      folder: Folder of the index.
      generation: Generation of the vectors.
      rows: Number of rows that there are.
      embeddings: float32 `[new, learners, dim]`.
      layout: Lengths of the learners.

    Returns:
      How many there are then.

    Raises:
      InputError: They are not of these lengths.
      OSError: The disk does not take them.
    """
    lengths = np.linalg.norm(embeddings.astype(np.float64), axis=-1)
    ratios = lengths / layout.lengths
    if not np.all(np.abs(ratios - 1) <= _OFF):
        worst = np.unravel_index(np.argmax(np.abs(ratios - 1)), ratios.shape)
        wanted = layout.lengths[worst[-1]]
        length = "unit length" if wanted == 1 else f"length {wanted:.4g}"
        raise InputError(
            f"Learner embeddings must be of {length}. "
            f"Received: one of length {lengths[worst]:.4g} from the index's model."
        )
    codes, bounds = encoded(embeddings, layout)
    done = 0
    while done < len(embeddings):
        segment, place = divmod(rows + done, SEGMENT_ROWS)
        count = min(len(embeddings) - done, SEGMENT_ROWS - place)
        part = slice(done, done + count)
        for ending, values in (
            ("f32", embeddings.astype(np.float32, copy=False)),
            *(("i8", codes), ("bounds", bounds)),
        ):
            _write(_path(folder, generation, segment, ending), place, values[part])
        done += count
    return rows + done


def _write(path: str, place: int, values: np.ndarray) -> None:
    content = np.ascontiguousarray(values)
    is_new = not os.path.exists(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        at, view = place * content[0].nbytes, content.data.cast("B")
        while view:
            written = os.pwrite(descriptor, view, at)
            at, view = at + written, view[written:]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        sync(os.path.dirname(path))


def mapped(folder: str, generation: int, rows: int, layout: Layout) -> list[Segment]:
    """The rows of an index.

    Args:
      folder: Folder of the index.
      generation: Generation of the vectors.
      rows: Number of rows that the database states.
      layout: Sizes and lengths of the learners.

    Raises:
      InputError: A file is shorter than that.
      OSError: A file cannot be read.
    """
    segments = []
    for first in range(0, rows, SEGMENT_ROWS):
        count = min(SEGMENT_ROWS, rows - first)
        number, shape = first // SEGMENT_ROWS, (count, *layout.shape)
        path = _path(folder, generation, number, "f32")
        if not os.path.exists(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        vectors = _map(path, np.float32, shape)
        if vectors is None:
            raise InputError(
                f"An index must hold all rows that it states. Received: {path!r}, "
                "which lacks some. Renew it with python -m abe_tf.index --reembed."
            )
        codes = _map(_path(folder, generation, number, "i8"), np.int8, shape)
        bounds = _map(
            _path(folder, generation, number, "bounds"), np.float32, (count, 2)
        )
        if codes is None or bounds is None:
            codes, bounds = encoded(np.asarray(vectors), layout)
        segments.append(Segment(first, vectors, codes, bounds, layout))
    return segments


def gather(segments: Sequence[Segment], rows: np.ndarray) -> np.ndarray:
    """Some rows, float32 `[len(rows), learners, dim]`.

    Args:
      segments: All rows.
      rows: Their numbers, in any order.
    """
    shape = segments[0].vectors.shape[1:]
    gathered = np.empty([len(rows), *shape], np.float32)
    numbers = rows // SEGMENT_ROWS
    for number in np.unique(numbers):
        here = numbers == number
        segment = segments[number]
        gathered[here] = segment.vectors[rows[here] - segment.first]
    return gathered


def distances(embeddings: np.ndarray, one: np.ndarray) -> np.ndarray:
    """Ensemble distances of some rows to one place, float64 `[rows]`.

    Args:
      embeddings: `[rows, learners, dim]`.
      one: `[learners, dim]`.
    """
    differences = embeddings.astype(np.float64) - one
    return np.linalg.norm(differences, axis=-1).mean(-1)


def mend(folder: str, generation: int, rows: int, layout: Layout) -> None:
    """Writes codes that are missing; rows behind a gap would be wrong.

    Args:
      folder: Folder of the index.
      generation: Generation of the vectors.
      rows: Number of rows that the database states.
      layout: Sizes and lengths of the learners.

    Raises:
      InputError: Vectors are missing.
      OSError: The disk does not take it.
    """
    for segment in mapped(folder, generation, rows, layout):
        if not isinstance(segment.codes, np.memmap):
            number = segment.first // SEGMENT_ROWS
            _write(_path(folder, generation, number, "i8"), 0, segment.codes)
            _write(_path(folder, generation, number, "bounds"), 0, segment.bounds)


def _map(path: str, kind: type, shape: tuple[int, ...]) -> np.ndarray | None:
    """A file, mapped; `None` where it is missing or too short."""
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    if not os.path.exists(path) or os.path.getsize(path) < size:
        return None
    return np.memmap(path, kind, "r", shape=shape)


def remove_others(folder: str, generations: set[int]) -> None:
    """Takes away the files of all generations but some."""
    inside = os.path.join(folder, FOLDER)
    for name in os.listdir(inside):
        generation = name.partition("-")[0]
        if generation.isdecimal() and int(generation) not in generations:
            os.remove(os.path.join(inside, name))


def _path(folder: str, generation: int, segment: int, ending: str) -> str:
    return os.path.join(folder, FOLDER, f"{generation}-{segment:06d}.{ending}")
