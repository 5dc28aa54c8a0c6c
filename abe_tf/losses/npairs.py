"""N-pairs (Sohn, NIPS 2016, equation 7).

    L = mean over pairs i of log(1 + sum over j != i of exp(s (a_i.p_j - a_i.p_i)))

The paper takes vectors of any length, s = 1, and one pair a class. Where a class has
several, the target of its rows is spread over their columns. TensorFlow Addons has the
softmax where it imports.
"""

from __future__ import annotations

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses import addons
from abe_tf.losses.metric import EachLearner, LossBatch, MetricLoss, Sizes
from abe_tf.losses.pairwise import same_class


def create(config: LossConfig, sizes: Sizes) -> MetricLoss:
    """The loss that the flags describe."""
    theirs = addons.tensorflow_addons()
    scale = config.npairs_scale
    if theirs is None:
        return OfNeighbours(lambda x, labels: npairs_loss(x, labels, scale))

    def loss(embeddings: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        anchors, positives, labels = pairs(embeddings, labels)
        logits = scale * tf.matmul(anchors, positives, transpose_b=True)
        return tf.cond(
            tf.size(labels) > 0,
            lambda: theirs.losses.npairs_loss(labels, logits),
            lambda: 0.0,
        )

    return OfNeighbours(loss)


class OfNeighbours(EachLearner):
    """A loss of the pairs of a batch, which tells how many images are in none."""

    def __call__(self, batch: LossBatch) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The loss of a global batch."""
        values, scalars = super().__call__(batch)
        images, paired = tf.size(batch.labels), 2 * tf.size(_firsts(batch.labels))
        share = tf.cast(images - paired, tf.float32) / tf.cast(images, tf.float32)
        return values, {**scalars, "pairs/images_without_partner": share}


def npairs_loss(embeddings: tf.Tensor, labels: tf.Tensor, scale: float) -> tf.Tensor:
    """The loss of one learner.

        >>> x = tf.constant([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> round(float(npairs_loss(x, tf.constant([0, 0, 1, 1]), scale=1.0)), 2)
        0.31

    Args:
      embeddings: `[batch, dim]` float32, of any length; its pairs are what `pairs`
        finds.
      labels: `[batch]` integer classes.
      scale: Factor on the inner products.

    Returns:
      Scalar float32, at least 0; 0 where there is no pair.
    """
    return of_pairs(*pairs(embeddings, labels), scale)


def of_pairs(
    anchors: tf.Tensor, positives: tf.Tensor, labels: tf.Tensor, scale: float
) -> tf.Tensor:
    """The loss of what `pairs` gave."""
    logits = scale * tf.matmul(anchors, positives, transpose_b=True)
    same = tf.cast(same_class(labels), tf.float32)
    targets = same / tf.reduce_sum(same, axis=1, keepdims=True)
    aimed_at = tf.reduce_sum(targets * logits, axis=1)
    costs = tf.reduce_logsumexp(logits, axis=1) - aimed_at
    count = tf.cast(tf.shape(labels)[0], tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(costs), count)


def pairs(
    embeddings: tf.Tensor, labels: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The pairs of a batch: its first and second, third and fourth, ... image.

    Those that are of two classes are left out.

    Returns:
      Anchors and positives, `[pairs, dim]` both, and their classes, `[pairs]`.
    """
    # One list of places for all three, so that XLA knows them to be as long.
    firsts = _firsts(labels)
    anchors, positives = (tf.gather(embeddings, firsts + one) for one in (0, 1))
    return anchors, positives, tf.gather(labels, firsts)


def _firsts(labels: tf.Tensor) -> tf.Tensor:
    """Places of the first images of the pairs; `[pairs]` int64."""
    end = 2 * (tf.shape(labels)[0] // 2)
    two = tf.reshape(labels[:end], [-1, 2])
    return 2 * tf.where(tf.equal(two[:, 0], two[:, 1]))[:, 0]
