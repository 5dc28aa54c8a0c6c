"""MAP@R, R-precision, precision@1 and mean reciprocal rank, without a full ranking.

All follow from how many negatives are at most as far as each positive, so ties count
against the query here too. Musgrave, Belongie, Lim: "A Metric Learning Reality Check",
ECCV 2020, defines the first two.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from abe_tf.retrieval import distances, ranks
from abe_tf.retrieval.matrix import Bounds, DistanceMatrix
from abe_tf.retrieval.nearest import smallest

KINDS = ("ensemble", "concatenated")
DEFINITIONS = {
    "map@r": "mean over queries of 1/R times the sum, over the relevant ones of the R "
    "nearest, of the precision up to there; R is the number of relevant images",
    "r_precision": "share of relevant images among the R nearest, mean over queries",
    "precision@1": "share of queries whose nearest image is relevant (= Recall@1)",
    "mrr": "mean of 1 / rank of the nearest relevant image",
}


def measure_ranking(
    matrix: DistanceMatrix, nearest: np.ndarray, block: int = 512
) -> dict[str, dict[str, float]]:
    """Measures of the ranking, by kind of distance and by name.

    A query without an image of its class to find counts 0 in each.

    Args:
      matrix: The distances between queries and gallery.
      nearest: `[2, queries]`, by ensemble and by concatenated distance, as
        `ranks.nearest_positive_ranks` gives them.
      block: Queries at once; memory grows with block times the largest class.

    Returns:
      Percent, by "ensemble" and "concatenated", then by the names of `DEFINITIONS`.
    """
    rows = matrix.rows
    sums = np.zeros([len(KINDS), len(DEFINITIONS)])
    for bounds in rows.blocks(block):
        for kind, before in enumerate(_before(matrix, bounds, block)):
            sums[kind] += _of_block(before)
    # The reciprocal rank of a positive behind the R nearest is that of the count.
    values = 100 * sums / len(rows.labels)
    reciprocal = np.where(nearest == ranks.NEVER, 0, 1 / (nearest + 1.0))
    values[:, -1] = 100 * reciprocal.mean(1)
    names = list(DEFINITIONS)
    return {
        kind: dict(zip(names, map(float, row), strict=True))
        for kind, row in zip(KINDS, values, strict=True)
    }


def _before(matrix: DistanceMatrix, bounds: Bounds, block: int) -> Iterator[np.ndarray]:
    """For each kind and positive, nearest first, the negatives that come before it.

    Yields:
      `[rows, largest class]` float32; infinite behind the last positive. What is above
      the number of positives may be too small: it is out of reach of any measure here.
    """
    rows, columns = matrix.rows, matrix.columns
    low, high = columns.classes_of(rows, *bounds)
    if low == high:
        yield from [np.full([bounds[1] - bounds[0], 1], np.inf)] * len(KINDS)
        return
    _, sizes = np.unique(columns.labels[low:high], return_counts=True)
    most = int(sizes.max())
    own = (low, high)
    left, right = matrix.factors(bounds, own)
    positives = _positives(
        left=left,
        right=right,
        out=matrix.excluded(bounds, own, negatives=False),
        noise_floor=matrix.noise_floor,
        labels=rows.labels[slice(*bounds)],
        gallery_labels=columns.labels[low:high],
        num_learners=rows.num_learners,
        most=most,
    )
    negatives, _ = smallest(matrix, bounds, most, block, KINDS, negatives=True)
    noise = distances.tolerances(matrix.noise_floor, rows.num_learners, KINDS)
    for kind in range(len(KINDS)):
        limits = positives[kind] + noise[kind]
        before = tf.searchsorted(negatives[kind], limits, "right").numpy()
        yield np.where(np.isinf(positives[kind]), np.inf, before)


@tf.function(autograph=False, reduce_retracing=True)
def _positives(
    left: tf.Tensor,
    right: tf.Tensor,
    out: tf.Tensor,
    noise_floor: tf.Tensor,
    labels: tf.Tensor,
    gallery_labels: tf.Tensor,
    num_learners: int,
    most: int,
) -> tf.Tensor:
    """`[kinds, rows, most]` distances of the positives, ascending, then infinity."""
    positive = (labels[:, tf.newaxis] == gallery_labels) & ~out
    tile = tf.stack(
        list(distances.by_kind(left, right, noise_floor, num_learners, KINDS))
    )
    tile = tf.where(positive, tf.maximum(tile, 0.0), np.float32(np.inf))
    return -tf.math.top_k(-tile, most)[0]


def _of_block(before: np.ndarray) -> np.ndarray:
    """Sums over queries of each measure but the last, 0 there.

    Args:
      before: `[queries, positives]`, as `_before` yields.
    """
    relevant = np.isfinite(before).sum(1, keepdims=True)
    number = np.arange(1, before.shape[1] + 1)
    rank = before + number
    counted = rank <= relevant
    share = np.maximum(relevant[:, 0], 1)
    precision = np.where(counted, number / np.where(counted, rank, 1), 0)
    return np.array(
        [
            (precision.sum(1) / share).sum(),
            (counted.sum(1) / share).sum(),
            (before[:, 0] == 0).sum(),
            0,
        ]
    )
