"""The contrastive loss of each learner, as the paper has it."""

from __future__ import annotations

import tensorflow as tf

from abe_tf.losses.pairwise import as_distance, same_class, squared_distances


def contrastive_loss(
    learner_embeddings: tf.Tensor,
    labels: tf.Tensor,
    margin: float = 1.0,
    distance: str = "squared",
    reduction: str = "mean",
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
      distance: "squared" (the paper's) or "plain".
      reduction: "mean": the mean over positive pairs of two different images plus the
        mean over active negative pairs, those that cost something. "published": the sum
        over all pairs, divided by the batch.

    Returns:
      `[learners]` float32, at least 0. A batch without positive, or without active
      negative, pairs costs nothing for them.
    """
    distances = as_distance(squared_distances(learner_embeddings), distance)
    same = same_class(labels)
    negative_costs = tf.where(same, 0.0, tf.nn.relu(margin - distances))
    # An image paired with itself is at distance 0 and adds nothing to either sum.
    positive_sum = tf.reduce_sum(tf.where(same, distances, 0.0), axis=[1, 2])
    negative_sum = tf.reduce_sum(negative_costs, axis=[1, 2])
    batch = tf.cast(tf.shape(labels)[0], tf.float32)
    if reduction == "published":
        return (positive_sum + negative_sum) / batch
    positives = tf.reduce_sum(tf.cast(same, tf.float32)) - batch
    active = tf.math.count_nonzero(negative_costs, axis=[1, 2], dtype=tf.float32)
    return tf.math.divide_no_nan(positive_sum, positives) + tf.math.divide_no_nan(
        negative_sum, active
    )
