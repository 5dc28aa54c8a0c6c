"""Near rows by a walk through a graph, for more photos than a scan can look at.

A hierarchical navigable small world (Malkov and Yashunin, TPAMI 2020) by usearch, whose
metric is the ensemble distance itself. It is derived: INDEX/graph-GENERATION.usearch
and beside it how many rows it holds; later ones are scanned. usearch must not share a
process with faiss.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np

from abe_tf.errors import InputError
from abe_tf.photo_index import scan
from abe_tf.photo_index.vectors import Segment
from abe_tf.storage.files import write_atomically, writing

INSTALL = "pip install --require-hashes -r requirements-approximate.txt"
_NEIGHBOURS, _WIDTH_OF_BUILD, _WIDTH_OF_SEARCH = 16, 128, 256
# Where rows that are not wanted come first, so many times more are asked for.
_MORE = 8


def build(folder: str, generation: int, segments: Sequence[Segment]) -> None:
    """Builds the graph of all rows.

    Args:
      folder: Folder of the index.
      generation: Generation of the vectors.
      segments: All rows.

    Raises:
      InputError: usearch is not installed, or the graph cannot be written.
    """
    rows = sum(len(segment.vectors) for segment in segments)
    learners, dim = segments[0].vectors.shape[1:] if segments else (1, 1)
    graph = _empty(learners, dim)
    for segment in segments:
        keys = np.arange(segment.first, segment.first + len(segment.vectors))
        graph.add(keys, segment.vectors.reshape(len(keys), -1))
    path = _path(folder, generation)
    with writing(path) as file:
        graph.save(file.name)
    write_atomically(f"{path}.json", json.dumps({"rows": rows}))
    for name in os.listdir(folder):
        if name.startswith("graph-") and not name.startswith(os.path.basename(path)):
            os.remove(os.path.join(folder, name))


def nearest(
    folder: str,
    generation: int,
    segments: Sequence[Segment],
    query: np.ndarray,
    count: int,
    wanted: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """As `scan.nearest`, of which some rows may be missed.

    Raises:
      InputError: There is no graph, or usearch is not installed.
    """
    path = _path(folder, generation)
    if not os.path.isfile(f"{path}.json"):
        raise InputError(
            "--approximate needs the graph that python -m abe_tf.index --graph builds. "
            f"Received: {folder!r} without one."
        )
    try:
        with open(f"{path}.json", encoding="utf-8") as file:
            held = int(json.load(file)["rows"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            "The graph of --approximate must be what python -m abe_tf.index --graph "
            f"built. Received: {path}.json: {error}. Build it again."
        ) from error
    graph = _viewed(path, os.stat(path).st_mtime_ns, *query.shape)
    asked = min(count, held)
    rows: np.ndarray = np.empty(0, np.int64)
    while asked:
        rows = graph.search(query.reshape(-1), asked).keys.astype(np.int64)
        rows = rows[wanted[rows]]
        if len(rows) >= count or asked == held:
            break
        asked = min(held, _MORE * asked)
    later = wanted.copy()
    later[:held] = False
    later[rows] = True
    # Those that the graph gives, and all that are later: measured, and ranked.
    return scan.nearest(segments, query, count, later)


def _path(folder: str, generation: int) -> str:
    return os.path.join(folder, f"graph-{generation}.usearch")


@functools.lru_cache(maxsize=1)
def _viewed(path: str, changed: int, learners: int, dim: int) -> Any:
    """A graph, mapped; `changed` tells one from the next at its path."""
    del changed
    graph = _empty(learners, dim)
    graph.view(path)
    return graph


def _empty(learners: int, dim: int) -> Any:
    try:
        from usearch.index import CompiledMetric, Index, MetricKind, MetricSignature
    except ImportError as error:
        raise InputError(
            f"--approximate and --graph need usearch. Received: none. {INSTALL}"
        ) from error
    return Index(
        ndim=learners * dim,
        metric=CompiledMetric(
            pointer=_metric(learners, dim).address,
            kind=MetricKind.L2sq,
            signature=MetricSignature.ArrayArray,
        ),
        dtype="f32",
        connectivity=_NEIGHBOURS,
        expansion_add=_WIDTH_OF_BUILD,
        expansion_search=_WIDTH_OF_SEARCH,
    )


@functools.cache
def _metric(learners: int, dim: int) -> Any:
    """The ensemble distance times the learners, as C calls it."""
    pointer = numba.types.CPointer(numba.types.float32)

    @numba.cfunc(numba.types.float32(pointer, pointer))
    def distance(one, other):  # type: ignore[no-untyped-def]
        ours = numba.carray(one, learners * dim)
        theirs = numba.carray(other, learners * dim)
        total = np.float32(0)
        for learner in range(learners):
            square = np.float32(0)
            for i in range(learner * dim, (learner + 1) * dim):
                difference = ours[i] - theirs[i]
                square += difference * difference
            total += np.sqrt(square)
        return total

    return distance
