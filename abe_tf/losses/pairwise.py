"""Distances between embeddings with gradients that stay finite."""

from __future__ import annotations

import tensorflow as tf


def squared_distances(learner_embeddings: tf.Tensor) -> tf.Tensor:
    """Squared distances between all images, for each learner.

    Args:
      learner_embeddings: `[batch, learners, dim]` float32.

    Returns:
      `[learners, batch, batch]` float32, at least 0, exactly 0 on the diagonal.
    """
    by_learner = tf.transpose(learner_embeddings, [1, 0, 2])
    squares = tf.reduce_sum(tf.square(by_learner), axis=-1)
    products = tf.matmul(by_learner, by_learner, transpose_b=True)
    distances = squares[:, :, tf.newaxis] + squares[:, tf.newaxis, :] - 2 * products
    # Rounding leaves about 1e-7 where 0 is meant.
    return tf.linalg.set_diag(tf.nn.relu(distances), tf.zeros_like(squares))


def cosines(learner_embeddings: tf.Tensor) -> tf.Tensor:
    """Cosines between all images, for each learner.

    Args:
      learner_embeddings: `[batch, learners, dim]` float32, unit length.

    Returns:
      `[learners, batch, batch]` float32.
    """
    by_learner = tf.transpose(learner_embeddings, [1, 0, 2])
    return tf.matmul(by_learner, by_learner, transpose_b=True)


def as_distance(squared: tf.Tensor, distance: str) -> tf.Tensor:
    """Turns squared distances into what `--distance` names.

    Args:
      squared: Squared distances of any shape, at least 0.
      distance: "squared" or "plain". The plain distance has gradient 0, not infinity,
        where two embeddings coincide.
    """
    if distance == "squared":
        return squared
    positive = squared > 0
    root = tf.sqrt(tf.where(positive, squared, 1.0))
    return tf.where(positive, root, 0.0)


def same_class(labels: tf.Tensor) -> tf.Tensor:
    """Which pairs are of one class; `[batch, batch]` bool for `[batch]` labels."""
    return tf.equal(labels[:, tf.newaxis], labels[tf.newaxis, :])


def positive_pairs(same: tf.Tensor) -> tf.Tensor:
    """Which pairs are two images of one class, in both orders.

    Args:
      same: What `same_class` gives.
    """
    return tf.linalg.set_diag(same, tf.zeros(tf.shape(same)[:1], tf.bool))
