"""Which place of an image gives which part of its embedding.

What ends every network here is linear: average pooling, then a linear layer. So an
embedding is a sum over the places of the last features, and a bias; divided by its
length the sum is the learner embedding itself, and the split is exact.
"""

from __future__ import annotations

import tensorflow as tf

from abe_tf.models.ensemble import LINEAR, POOLED


def ends_linearly(network: tf.keras.Model) -> bool:
    """Whether a network ends as those of `models.build` do, and so can be split."""
    return bool(_numbered(network, POOLED))


class PlacesNetwork:
    """A network that gives its learner embeddings place by place.

    Args:
      network: uint8 RGB `[batch, height, width, 3]` to learner embeddings, as
        `models.build` makes it.
    """

    def __init__(self, network: tf.keras.Model) -> None:
        pooled = _numbered(network, POOLED)
        self._linear = _numbered(network, LINEAR)
        self._num_learners = network.output_shape[1]
        features = [layer.input for layer in pooled]
        self._features = tf.keras.Model(network.input, features)

    def __call__(self, pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Splits the learner embeddings of images.

        Args:
          pixels: uint8 RGB `[batch, height, width, 3]`.

        Returns:
          The parts, float32 `[batch, learners, h, w, dim]`, and what the bias of the
          linear layer adds, `[batch, learners, dim]`. Summed over the places and with
          the bias they are the learner embeddings, of unit length.
        """
        maps = tf.nest.flatten(self._features(pixels, training=False))
        features = tf.cast(tf.stack(maps, 1), tf.float32)
        _, _, height, width, channels = features.shape
        shape = [-1, self._num_learners, height, width, channels]
        # ABE folds its learners into the batch, heads have a tensor each.
        features = tf.reshape(features, shape) / (height * width)
        if not self._linear:
            return _to_unit_length(features, tf.zeros([1, channels]))
        # One linear layer for all learners, or one for each.
        kernels = tf.stack([tf.cast(one.kernel, tf.float32) for one in self._linear])
        biases = tf.stack([tf.cast(one.bias, tf.float32) for one in self._linear])
        if len(self._linear) == 1:
            parts = tf.einsum("bmhwc,cd->bmhwd", features, kernels[0])
        else:
            parts = tf.einsum("bmhwc,mcd->bmhwd", features, kernels)
        return _to_unit_length(parts, biases)


def _to_unit_length(parts: tf.Tensor, biases: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    whole = tf.reduce_sum(parts, [2, 3]) + biases
    # As `tf.math.l2_normalize`.
    squares = tf.reduce_sum(tf.square(whole), -1, keepdims=True)
    scale = tf.math.rsqrt(tf.maximum(squares, 1e-12))
    return parts * scale[:, :, tf.newaxis, tf.newaxis], biases * scale


def _numbered(network: tf.keras.Model, name: str) -> list[tf.keras.layers.Layer]:
    """The layers of a name, in the order of the learners; there may be none."""
    by_name = {layer.name: layer for layer in network.layers}
    if name in by_name:
        return [by_name[name]]
    numbered = (by_name.get(f"{name}_{number}") for number in range(len(by_name)))
    return [layer for layer in numbered if layer is not None]
