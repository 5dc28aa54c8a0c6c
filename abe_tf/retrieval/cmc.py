"""CMC and mean average precision, as photos of several cameras are measured.

A photo of the same thing by the same camera is no proof: it is left out of what a query
looks through. The measures are re-identification's (Zheng et al., "Scalable Person
Re-identification", ICCV 2015). Ties count against the query, as for Recall@K.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from abe_tf.retrieval import distances
from abe_tf.retrieval.embedded import Embedded
from abe_tf.retrieval.matrix import Bounds, DistanceMatrix
from abe_tf.retrieval.measures import KINDS

RANKS = (1, 5, 10)
DEFINITIONS = {
    "cmc@k": "share of queries with a relevant image among the k nearest",
    "map": "mean over queries of the mean, over all relevant images, of the precision "
    "up to each",
}
# More pairs than these are not ranked in full where no camera asks for it.
MOST_PAIRS = 25_000_000


def measure_cmc(
    matrix: DistanceMatrix, queries: Embedded, gallery: Embedded | None, block: int
) -> dict[str, Any] | None:
    """Ranks the whole gallery for each query.

    Args:
      matrix: The distances between both.
      queries: What is looked for.
      gallery: Where; among the other queries where `None`.
      block: As many distances as a tile of this edge has are looked at at once, or
        those of one query.

    Returns:
      Percent, by "ensemble" and "concatenated", then by "cmc@1", "cmc@5", "cmc@10" and
      "map"; "queries", those that have something to find, over which these are means;
      "without", those that have not; "cameras", whether photos of the query's class by
      its camera were left out. Percent are missing where no query has something to
      find. `None` of very many pairs without cameras.
    """
    among = queries if gallery is None else gallery
    by_camera = queries.cameras is not None and among.cameras is not None
    if not by_camera and len(queries) * len(among) > MOST_PAIRS:
        return None
    own, theirs = _cameras(matrix, queries, among) if by_camera else (None, None)
    sums, found = np.zeros([len(KINDS), len(RANKS) + 1]), 0
    rows = max(1, block * block // len(among))
    for bounds in matrix.rows.blocks(rows):
        relevant, irrelevant = _pairs(matrix, bounds)
        if own is not None and theirs is not None:
            relevant &= own[slice(*bounds), np.newaxis] != theirs
        has_any = relevant.any(1)
        found += int(has_any.sum())
        kinds = zip(_whole_rows(matrix, bounds), _noise(matrix), strict=True)
        for kind, (values, noise) in enumerate(kinds):
            for row in np.flatnonzero(has_any):
                positives = np.sort(values[row, relevant[row]])
                negatives = np.sort(values[row, irrelevant[row]])
                sums[kind] += _of_query(positives + noise, negatives)
    counts = {
        "queries": found,
        "without": len(queries) - found,
        "cameras": by_camera,
    }
    if not found:
        return counts
    names = (*(f"cmc@{k}" for k in RANKS), "map")
    return {
        **{
            kind: dict(zip(names, map(float, row), strict=True))
            for kind, row in zip(KINDS, 100 * sums / found, strict=True)
        },
        **counts,
    }


def _of_query(limits: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Hits at `RANKS` and the average precision, from sorted distances."""
    before = np.searchsorted(negatives, limits, "right")
    precision = np.arange(1, len(limits) + 1) / (np.arange(1, len(limits) + 1) + before)
    return np.array([*(before[0] < k for k in RANKS), precision.mean()])


def _pairs(matrix: DistanceMatrix, bounds: Bounds) -> tuple[np.ndarray, np.ndarray]:
    """Which images of the gallery are of a query's class, itself left out, and not."""
    labels = matrix.rows.labels[slice(*bounds), np.newaxis]
    same = labels == matrix.columns.labels
    everything = (0, len(matrix.columns.labels))
    itself = matrix.excluded(bounds, everything, negatives=False).numpy()
    return same & ~itself, ~same


def _whole_rows(matrix: DistanceMatrix, bounds: Bounds) -> list[np.ndarray]:
    """All distances of some queries, `[rows, gallery]` by kind."""
    left, right = matrix.factors(bounds, (0, len(matrix.columns.labels)))
    each = distances.by_kind(
        left, right, tf.constant(matrix.noise_floor), matrix.num_learners, KINDS
    )
    return [tf.maximum(one, 0.0).numpy() for one in each]


def _noise(matrix: DistanceMatrix) -> np.ndarray:
    return distances.tolerances(matrix.noise_floor, matrix.num_learners, KINDS)[:, 0]


def _cameras(
    matrix: DistanceMatrix, queries: Embedded, gallery: Embedded
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the cameras, in the order of the matrix."""
    names = np.concatenate([np.asarray(s.cameras) for s in (queries, gallery)])
    _, numbers = np.unique(names, return_inverse=True)
    own, theirs = np.split(numbers, [len(queries)])
    # One that nobody knows is no other's.
    unknown = names == ""
    own = np.where(unknown[: len(queries)], -1, own)
    theirs = np.where(unknown[len(queries) :], -2, theirs)
    return own[matrix.rows.order], theirs[matrix.columns.order]
