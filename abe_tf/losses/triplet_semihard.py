"""Triplets with semi-hard negatives (Schroff et al., FaceNet, CVPR 2015, section 3.2).

    L = mean over positive pairs (a, p) of [D_ap - D_an + margin]+

n is the nearest image of another class that is farther from a than p is; where there
is none, the farthest of another class. TensorFlow Addons has it where it imports.
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
from abe_tf.losses.stable import FAR


def create(config: LossConfig, sizes: Sizes) -> MetricLoss:
    """The loss that the flags describe."""
    theirs = addons.tensorflow_addons()
    margin, distance = config.margin_addons, config.distance
    if theirs is None:
        return EachLearner(
            lambda x, labels: triplet_semihard_loss(x, labels, margin, distance)
        )
    metric = {"squared": "squared-L2", "plain": "L2"}[distance]
    loss = theirs.losses.triplet_semihard_loss
    return EachLearner(
        lambda x, labels: addons.where_both(
            lambda: loss(labels, x, margin, metric), labels
        )
    )


def triplet_semihard_loss(
    embeddings: tf.Tensor, labels: tf.Tensor, margin: float, distance: str
) -> tf.Tensor:
    """The loss of one learner.

        >>> x = tf.constant([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> labels = tf.constant([0, 0, 1])
        >>> float(triplet_semihard_loss(x, labels, margin=0.5, distance="squared"))
        1.5

    Args:
      embeddings: `[batch, dim]` float32.
      labels: `[batch]` integer classes.
      margin: Negatives farther than the positive by this much cost nothing.
      distance: "squared" or "plain" Euclidean.

    Returns:
      Scalar float32, at least 0; 0 where the batch has no positive pair, or no second
      class.
    """
    distances = as_distance(squared_distances(embeddings[:, tf.newaxis])[0], distance)
    same = same_class(labels)
    # [anchor, positive, negative]
    beyond = ~same[:, tf.newaxis] & (
        distances[:, tf.newaxis] > distances[:, :, tf.newaxis]
    )
    nearest = tf.reduce_min(tf.where(beyond, distances[:, tf.newaxis], FAR), axis=2)
    farthest = tf.reduce_max(tf.where(same, 0.0, distances), axis=1)
    negative = tf.where(tf.reduce_any(beyond, axis=2), nearest, farthest[:, tf.newaxis])
    of_a_triplet = positive_pairs(same) & tf.reduce_any(~same, axis=1)[:, tf.newaxis]
    costs = tf.where(of_a_triplet, tf.nn.relu(margin + distances - negative), 0.0)
    count = tf.math.count_nonzero(of_a_triplet, dtype=tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(costs), count)
