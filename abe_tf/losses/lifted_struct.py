"""Lifted structured feature embedding (Song et al., CVPR 2016, equation 4).

    J_ij = log(sum of exp(margin - D_ik) over negatives k of i
               + sum of exp(margin - D_jl) over negatives l of j) + D_ij
    L = 1 / (2 |P|) * sum over positive pairs (i, j) in P of [J_ij]+ squared

D is the plain distance, between vectors of any length: the paper does not normalise
them. On the unit sphere no D exceeds 2. TensorFlow Addons has it where it imports.
"""

from __future__ import annotations

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses import addons
from abe_tf.losses.metric import EachLearner, MetricLoss, Sizes
from abe_tf.losses.pairwise import (
    as_distance,
    positive_pairs,
    same_class,
    squared_distances,
)
from abe_tf.losses.stable import log_sum


def create(config: LossConfig, sizes: Sizes) -> MetricLoss:
    """The loss that the flags describe."""
    theirs = addons.tensorflow_addons()
    margin = config.margin_addons
    if theirs is None or config.embedding_norm == "free":
        # Theirs sums exponentials of distances, which overflow beyond some 70.
        return EachLearner(lambda x, labels: lifted_struct_loss(x, labels, margin))
    loss = theirs.losses.lifted_struct_loss
    return EachLearner(
        lambda x, labels: addons.where_both(lambda: loss(labels, x, margin), labels)
    )


def lifted_struct_loss(
    embeddings: tf.Tensor, labels: tf.Tensor, margin: float
) -> tf.Tensor:
    """The loss of one learner.

        >>> x = tf.constant([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> round(float(lifted_struct_loss(x, tf.constant([0, 0, 1]), margin=1.0)), 2)
        0.04

    Args:
      embeddings: `[batch, dim]` float32, of any length.
      labels: `[batch]` integer classes.
      margin: Plain distances of negatives are pushed beyond this.

    Returns:
      Scalar float32, at least 0; 0 where the batch has no positive pair, or no second
      class.
    """
    distances = as_distance(squared_distances(embeddings[:, tf.newaxis])[0], "plain")
    same = same_class(labels)
    nearness = log_sum(margin - distances, ~same, axis=1)
    of_both = tf.reduce_logsumexp(
        tf.stack(tf.meshgrid(nearness, nearness, indexing="ij")), axis=0
    )
    positive = positive_pairs(same)
    costs = tf.where(positive, tf.square(tf.nn.relu(of_both + distances)), 0.0)
    # Each pair counts from both its ends, here and above.
    count = tf.math.count_nonzero(positive, dtype=tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(costs), 2 * count)
