"""Angular loss (Wang et al., ICCV 2017, equations 6 to 8).

    L = mean over pairs i of log(1 + sum over other pairs' positives n of
        exp(4 t (a_i + p_i).n - 2 (1 + t) a_i.p_i))        t = tan^2(alpha)
        + npairs_weight * the N-pairs loss

The paper's combination is N-pairs + 2 angular, which is npairs_weight = 1/2 at twice
the scale. Its vectors are of any length; N-pairs' pairs and classes hold here too:
what is of an anchor's own class is no negative.
"""

from __future__ import annotations

import math

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses import npairs
from abe_tf.losses.metric import MetricLoss, Sizes
from abe_tf.losses.pairwise import same_class
from abe_tf.losses.stable import log_one_plus_sum


def create(config: LossConfig, sizes: Sizes) -> MetricLoss:
    """The loss that the flags describe."""

    def loss(embeddings: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        pairs = npairs.pairs(embeddings, labels)
        found = _of_pairs(*pairs, config.angular_degrees)
        if config.npairs_weight:
            also = npairs.of_pairs(*pairs, config.npairs_scale)
            found += config.npairs_weight * also
        return found

    made = npairs.OfNeighbours(loss)
    # With both terms XLA of TensorFlow 2.15 does not see that they have as many pairs.
    made.compilable = False
    return made


def angular_loss(
    embeddings: tf.Tensor, labels: tf.Tensor, degrees: float = 45.0
) -> tf.Tensor:
    """The angular term of one learner.

        >>> x = tf.constant([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> round(float(angular_loss(x, tf.constant([0, 0, 1, 1]))), 3)
        0.018

    Args:
      embeddings: `[batch, dim]` float32, of any length; pairs as for N-pairs.
      labels: `[batch]` integer classes.
      degrees: alpha, the angle at the negative that nothing is to exceed.

    Returns:
      Scalar float32, at least 0; 0 where there is no pair.
    """
    return _of_pairs(*npairs.pairs(embeddings, labels), degrees)


def _of_pairs(
    anchors: tf.Tensor, positives: tf.Tensor, labels: tf.Tensor, degrees: float
) -> tf.Tensor:
    tangent = math.tan(math.radians(degrees)) ** 2
    of_negatives = tf.matmul(anchors + positives, positives, transpose_b=True)
    of_pair = tf.reduce_sum(anchors * positives, axis=1, keepdims=True)
    exponents = 4 * tangent * of_negatives - 2 * (1 + tangent) * of_pair
    costs = log_one_plus_sum(exponents, ~same_class(labels), axis=1)
    count = tf.cast(tf.shape(labels)[0], tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(costs), count)
