"""The divergence loss that keeps the learners apart."""

from __future__ import annotations

import tensorflow as tf

from abe_tf.losses.pairwise import as_distance, squared_distances


def divergence_loss(
    learner_embeddings: tf.Tensor,
    margin: float = 1.0,
    distance: str = "squared",
    reduction: str = "mean",
) -> tf.Tensor:
    """Pushes the embeddings that different learners give one image apart.

    A pair of learners at distance D costs max(0, margin - D).

        >>> alike = tf.constant([[[1.0, 0.0], [1.0, 0.0]]])
        >>> apart = tf.constant([[[1.0, 0.0], [0.0, 1.0]]])
        >>> float(divergence_loss(alike)), float(divergence_loss(apart))
        (2.0, 0.0)

    Args:
      learner_embeddings: `[batch, learners, dim]` float32, unit length.
      margin: Learners farther apart than this cost nothing.
      distance: "squared" (the paper's) or "plain".
      reduction: "mean": the number of learners times the mean over images and pairs of
        learners, so that the balance with the contrastive losses, which are summed over
        learners, does not change with their number. "published": the sum over images
        and ordered pairs of learners.

    Returns:
      Scalar float32, at least 0; 0 for one learner.
    """
    batch, learners, _ = tf.unstack(tf.cast(tf.shape(learner_embeddings), tf.float32))
    # Images and learners change places: distances between learners, for each image.
    by_image = tf.transpose(learner_embeddings, [1, 0, 2])
    distances = as_distance(squared_distances(by_image), distance)
    costs = tf.nn.relu(margin - distances)
    total = tf.reduce_sum(tf.linalg.set_diag(costs, tf.zeros_like(costs[:, :, 0])))
    if reduction == "published":
        return total
    pairs = batch * learners * (learners - 1)
    return learners * tf.math.divide_no_nan(total, pairs)
