"""A vector for each training class and learner, which a loss pulls images to."""

from __future__ import annotations

import tensorflow as tf

from abe_tf.losses.metric import OfClasses, Sizes

# Of the numbers that a proxy starts with: only their direction counts.
_DEVIATION = 0.125


class ProxyLoss(OfClasses):
    """Base of the losses with proxies: trained like weights, compared by direction.

    Args:
      sizes: One proxy for each learner and class that trains.

    Attributes:
      proxies: `[learners, classes, dim]`.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        shape = [sizes.learners, len(sizes.classes), sizes.dim]
        start = tf.random.normal(shape, stddev=_DEVIATION)
        # Where embeddings are filled up with zeros, so are proxies.
        mask = tf.sequence_mask(sizes.of_each, sizes.dim, tf.float32)
        self._filled = mask[:, tf.newaxis]
        self.proxies = tf.Variable(start, name="proxies")

    def cosines(self, embeddings: tf.Tensor) -> tf.Tensor:
        """Cosines of images and proxies.

        Args:
          embeddings: `[batch, learners, dim]`, unit length.

        Returns:
          `[learners, batch, classes]` float32.
        """
        by_learner = tf.transpose(embeddings, [1, 0, 2])
        directions = tf.math.l2_normalize(self.proxies * self._filled, axis=-1)
        return tf.matmul(by_learner, directions, transpose_b=True)

    def own_class(self, labels: tf.Tensor) -> tf.Tensor:
        """Which proxy is an image's own; `[batch, classes]` bool."""
        places = tf.range(tf.shape(self.proxies)[1])
        return tf.equal(self.places(labels)[:, tf.newaxis], places)
