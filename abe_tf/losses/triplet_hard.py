"""Triplets of the hardest (Hermans et al., "In Defense of the Triplet Loss", 2017).

    L = mean over i of [max over positives D_ip - min over negatives D_in + margin]+

D is the plain distance, of vectors of any length as published with
`--embedding_norm=free`.
"""

from __future__ import annotations

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses.metric import AllLearners, MetricLoss, Sizes
from abe_tf.losses.pairwise import (
    as_distance,
    positive_pairs,
    same_class,
    squared_distances,
)
from abe_tf.losses.stable import FAR


def create(config: LossConfig, sizes: Sizes) -> MetricLoss:
    """The loss that the flags describe."""
    return AllLearners(
        lambda x, labels: triplet_hard_loss(x, labels, config.margin_hard)
    )


def triplet_hard_loss(
    learner_embeddings: tf.Tensor, labels: tf.Tensor, margin: float
) -> tf.Tensor:
    """The loss of each learner.

        >>> x = tf.constant([[[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 1.0]]])
        >>> triplet_hard_loss(x, tf.constant([0, 0, 1]), margin=0.3).numpy().round(3)
        array([1.007], dtype=float32)

    Args:
      learner_embeddings: `[batch, learners, dim]` float32.
      labels: `[batch]` integer classes.
      margin: Negatives farther than the farthest positive by this much cost nothing.

    Returns:
      `[learners]` float32, at least 0. An image without a positive or without a
      negative costs 0 and does not count.
    """
    distances = as_distance(squared_distances(learner_embeddings), "plain")
    same = same_class(labels)
    positive = positive_pairs(same)
    farthest = tf.reduce_max(tf.where(positive, distances, 0.0), axis=2)
    nearest = tf.reduce_min(tf.where(same, FAR, distances), axis=2)
    counts = tf.reduce_any(positive, 1) & tf.reduce_any(~same, 1)
    costs = tf.where(counts, tf.nn.relu(farthest - nearest + margin), 0.0)
    count = tf.math.count_nonzero(counts, dtype=distances.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(costs, axis=1), count)
