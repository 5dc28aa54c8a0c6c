"""How different the learners are, and what each gives to the ensemble."""

from __future__ import annotations

import itertools
import math

import numpy as np
import tensorflow as tf

from abe_tf.retrieval import distances
from abe_tf.retrieval.matrix import DistanceMatrix

# Every subset of 8 learners is looked at; of more, so many of each size.
MOST_SUBSETS = 70
# Evenly spaced among the queries.
MOST_QUERIES = 4_000
# Floats that the distances of all subsets of a tile may take.
_ROOM = 32 * 2**20


def subsets_of(learners: int, seed: int = 0) -> list[tuple[int, ...]]:
    """All subsets of the learners, smallest first; a sample of each size where many."""
    rng = np.random.default_rng(seed)
    subsets: list[tuple[int, ...]] = []
    for size in range(1, learners + 1):
        number = math.comb(learners, size)
        if number <= max(MOST_SUBSETS, learners):
            subsets += itertools.combinations(range(learners), size)
            continue
        drawn: set[tuple[int, ...]] = set()
        while len(drawn) < MOST_SUBSETS:
            some = rng.choice(learners, size, replace=False)
            drawn.add(tuple(sorted(int(learner) for learner in some)))
        subsets += sorted(drawn)
    return subsets


def sub_ensemble_recall(
    matrix: DistanceMatrix, subsets: list[tuple[int, ...]], block: int = 512
) -> np.ndarray:
    """Recall@1 by the ensemble distance of some of the learners.

    Args:
      matrix: The distances between queries and gallery; at most `MOST_QUERIES` of the
        queries are looked for, evenly spaced.
      subsets: Numbers of learners.
      block: Queries at once, at most.

    Returns:
      `[subsets]` percent.
    """
    rows, columns = matrix.rows, matrix.columns
    members = np.zeros([len(subsets), rows.num_learners], np.float32)
    for number, subset in enumerate(subsets):
        members[number, list(subset)] = 1
    count = min(len(rows.labels), MOST_QUERIES)
    chosen = np.linspace(0, len(rows.labels) - 1, count).astype(int)
    width = len(columns.labels)
    height = max(1, min(block, _ROOM // (len(subsets) * width)))
    hits = np.zeros(len(subsets))
    right = tf.constant(columns.right)
    for first in range(0, len(chosen), height):
        some = chosen[first : first + height]
        own = rows.labels[some, np.newaxis] == columns.labels
        positive = own
        if matrix.has_one_side:
            positive = own & (some[:, np.newaxis] != np.arange(width))
        left = distances.other_factor(rows.right[:, some])
        is_hit = _hits(left, right, own, positive, members, matrix.noise_floor)
        hits += is_hit.numpy()
    return 100 * hits / len(chosen)


@tf.function(autograph=False, reduce_retracing=True)
def _hits(
    left: tf.Tensor,
    right: tf.Tensor,
    own: tf.Tensor,
    positive: tf.Tensor,
    members: tf.Tensor,
    noise_floor: tf.Tensor,
) -> tf.Tensor:
    """How many of some rows have a positive nearer than all negatives, by subset."""
    squared = tf.matmul(left, right, transpose_b=True)
    plain = tf.sqrt(tf.where(squared < noise_floor, 0.0, squared))
    ensemble = tf.tensordot(members, plain, 1)
    infinity = tf.constant(np.inf, tf.float32)
    nearest = tf.reduce_min(tf.where(positive, ensemble, infinity), 2)
    negative = tf.reduce_min(tf.where(own, infinity, ensemble), 2)
    noise = noise_floor * tf.reduce_sum(members, 1, keepdims=True)
    return tf.reduce_sum(tf.cast(nearest + noise < negative, tf.float32), 1)
