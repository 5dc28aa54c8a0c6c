"""What training watches beside its losses; nothing here is minimised."""

from __future__ import annotations

import tensorflow as tf

from abe_tf.losses.pairwise import (
    as_distance,
    positive_pairs,
    same_class,
    squared_distances,
)


def batch_statistics(
    learner_embeddings: tf.Tensor, labels: tf.Tensor, margin: float, distance: str
) -> dict[str, tf.Tensor]:
    """How far apart images and learners are, over all learners of a batch.

    Args:
      learner_embeddings: `[batch, learners, dim]` float32, unit length.
      labels: `[batch]` integer classes.
      margin: The contrastive loss's.
      distance: "squared" or "plain": what the margin applies to.

    Returns:
      Scalars by TensorBoard tag: shares of images without a positive and without a
      negative (0 to 1), mean plain distance (0 to 2) of positive and of negative pairs,
      share of negative pairs (0 to 1) within the margin, and, with more than one
      learner, the mean cosine (-1 to 1) between two learners' embeddings of the same
      image.
    """
    squared = squared_distances(learner_embeddings)
    same = same_class(labels)
    positive = positive_pairs(same)
    plain = as_distance(squared, "plain")
    active = tf.cast(as_distance(squared, distance) < margin, tf.float32)
    statistics = {
        "distance/positive": _mean_where(plain, positive),
        "distance/negative": _mean_where(plain, ~same),
        "pairs/active_negatives": _mean_where(active, ~same),
        "pairs/images_without_positive": _share(~tf.reduce_any(positive, axis=1)),
        "pairs/images_without_negative": _share(tf.reduce_all(same, axis=1)),
    }
    if learner_embeddings.shape[1] > 1:
        cosines = self_pair_cosines(learner_embeddings)
        statistics["similarity/self_pair"] = tf.reduce_mean(cosines)
    return statistics


def self_pair_cosines(learner_embeddings: tf.Tensor) -> tf.Tensor:
    """Mean cosine between the learners' embeddings of each image.

    Args:
      learner_embeddings: `[batch, learners, dim]` float32, unit length, at least two
        learners.

    Returns:
      `[batch]` float32 in -1 to 1: the mean over pairs of different learners.
    """
    learners = learner_embeddings.shape[1]
    # The sum of all cosines, own pairs included, is the squared length of the sum.
    total = tf.reduce_sum(tf.square(tf.reduce_sum(learner_embeddings, 1)), axis=-1)
    own = tf.reduce_sum(tf.square(learner_embeddings), axis=[1, 2])
    return (total - own) / (learners * (learners - 1))


def _share(mask: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(mask, tf.float32))


def _mean_where(values: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Mean of `[learners, batch, batch]` where `[batch, batch]` is true."""
    learners = tf.cast(tf.shape(values)[0], tf.float32)
    weights = tf.cast(mask, tf.float32)
    total = tf.reduce_sum(values * weights)
    return tf.math.divide_no_nan(total, learners * tf.reduce_sum(weights))
