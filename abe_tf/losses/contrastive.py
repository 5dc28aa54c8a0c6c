"""The contrastive loss of each learner.

With the linear hinge a positive pair costs D and a negative one [margin - D]+, D the
squared distance: the paper's (equation 4). With the squared hinge they cost D^2 and
([margin - D]+)^2 of the plain distance: the form that Song et al. (CVPR 2016) compare
with.
"""

from __future__ import annotations

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses.metric import AllLearners, MetricLoss, Sizes
from abe_tf.losses.pairwise import as_distance, same_class, squared_distances


def create(config: LossConfig, sizes: Sizes) -> MetricLoss:
    """The loss that the flags describe."""
    return AllLearners(
        lambda embeddings, labels: contrastive_loss(
            embeddings,
            labels,
            config.margin_contrastive,
            config.distance,
            config.loss_reduction,
            config.contrastive_hinge,
        )
    )


def contrastive_loss(
    learner_embeddings: tf.Tensor,
    labels: tf.Tensor,
    margin: float = 1.0,
    distance: str = "squared",
    reduction: str = "mean",
    hinge: str = "linear",
) -> tf.Tensor:
    """Draws images of one class together and pushes others apart.

    A positive pair costs its distance D, a negative pair max(0, margin - D).

        >>> x = tf.constant([[[1.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.0]]])
        >>> contrastive_loss(x, labels=tf.constant([0, 1, 1])).numpy()
        array([3.], dtype=float32)

    2 for the positive pair at a squared distance of 2, 1 for two classes at one point.

    Args:
      learner_embeddings: `[batch, learners, dim]` float32, unit length.
      labels: `[batch]` integer classes.
      margin: Negatives farther apart than this cost nothing.
      distance: "squared" (the paper's) or "plain", for the linear hinge.
      reduction: "mean": the mean over positive pairs of two different images plus the
        mean over active negative pairs, those that cost something. "published": the sum
        over all pairs, in both orders, divided by the batch; of the squared hinge in
        one order.
      hinge: "linear" or "squared".

    Returns:
      `[learners]` float32, at least 0. A batch without positive, or without active
      negative, pairs costs nothing for them.
    """
    squared = squared_distances(learner_embeddings)
    same = same_class(labels)
    if hinge == "squared":
        distances = squared
        hinged = tf.square(tf.nn.relu(margin - as_distance(squared, "plain")))
    else:
        distances = as_distance(squared, distance)
        hinged = tf.nn.relu(margin - distances)
    negative_costs = tf.where(same, 0.0, hinged)
    # An image paired with itself is at distance 0 and adds nothing to either sum.
    positive_sum = tf.reduce_sum(tf.where(same, distances, 0.0), axis=[1, 2])
    negative_sum = tf.reduce_sum(negative_costs, axis=[1, 2])
    batch = tf.cast(tf.shape(labels)[0], tf.float32)
    if reduction == "published":
        orders = 2 if hinge == "squared" else 1
        return (positive_sum + negative_sum) / (orders * batch)
    positives = tf.reduce_sum(tf.cast(same, tf.float32)) - batch
    active = tf.math.count_nonzero(negative_costs, axis=[1, 2], dtype=tf.float32)
    return tf.math.divide_no_nan(positive_sum, positives) + tf.math.divide_no_nan(
        negative_sum, active
    )
