"""Distances between images, by learner, ensemble and concatenation."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow as tf

# float32 cannot tell squared distances below this from 0. Without a floor, the noise
# between images at one point would order them, and give a collapsed model some recall.
_RESOLUTION = 1e-6


def by_kind(queries: tf.Tensor, gallery: tf.Tensor) -> Iterator[tf.Tensor]:
    """Distances of queries to a gallery, one kind after the other.

    Args:
      queries: `[queries, learners, dim]` float32.
      gallery: `[gallery, learners, dim]` float32.

    Yields:
      `[queries, gallery]` float32, at least 0: first of each learner, squared; then the
      paper's ensemble distance, the mean of the learners' plain distances; last the
      distance of the concatenated embeddings, squared. Squaring changes no ranking.
    """
    learners = gallery.shape[1]
    plain_sum = squared_sum = 0.0
    for learner in range(learners):
        squared = _squared(queries[:, learner], gallery[:, learner])
        yield squared
        plain_sum += tf.sqrt(squared)
        squared_sum += squared
    yield plain_sum / learners
    yield squared_sum


def _squared(queries: tf.Tensor, gallery: tf.Tensor) -> tf.Tensor:
    squares = tf.reduce_sum(tf.square(queries), -1)[:, tf.newaxis] + tf.reduce_sum(
        tf.square(gallery), -1
    )
    distances = squares - 2 * tf.matmul(queries, gallery, transpose_b=True)
    return tf.where(distances < _RESOLUTION, 0.0, distances)
