"""Which place of an image gives which part of its embedding.

What ends a learner here is linear: average pooling, then a linear layer. So an
embedding is a sum over the places of the last features, and a bias; divided by its
length the sum is the learner embedding itself, and the split is exact. The first
learners of HDC have hidden layers instead: nothing of them belongs to a place.
"""

from __future__ import annotations

import tensorflow as tf

from abe_tf.models.ensemble import LINEAR, POOLED, layout_of


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
        self._layout = layout_of(network)
        # Of learners that are not split, which come first.
        numbered = {f"{POOLED}_{number}" for number in range(self._layout.learners)}
        only_last = self._layout.learners > 1 and numbered & {x.name for x in pooled}
        self._whole = self._layout.learners - len(pooled) if only_last else 0
        self._linear = _numbered(network, LINEAR)[self._whole :]
        features = [layer.input for layer in pooled]
        outputs = [network.output, *features] if self._whole else features
        self._features = tf.keras.Model(network.input, outputs)

    def __call__(self, pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Splits the learner embeddings of images.

        Args:
          pixels: uint8 RGB `[batch, height, width, 3]`.

        Returns:
          The parts, float32 `[batch, learners, h, w, dim]`, and what the bias of the
          linear layer adds, `[batch, learners, dim]`. Summed over the places and with
          the bias they are the learner embeddings. Of learners with hidden layers the
          parts are 0, and what the bias adds is all.
        """
        outputs = tf.nest.flatten(self._features(pixels, training=False))
        split = len(outputs) - 1 if self._whole else self._layout.learners
        maps = outputs[1:] if self._whole else outputs
        features = tf.cast(tf.stack(maps, 1), tf.float32)
        _, _, height, width, channels = features.shape
        features /= height * width
        if len(maps) == 1 and len(self._linear) < split:
            # ABE folds its learners into the batch.
            features = tf.reshape(features, [-1, split, height, width, channels])
        parts, biases = self._parts(features)
        scale = _scale(tf.reduce_sum(parts, [2, 3]) + biases)
        scale *= tf.constant(self._layout.lengths[self._whole :])[:, tf.newaxis]
        parts, biases = parts * scale[:, :, tf.newaxis, tf.newaxis], biases * scale
        if self._whole:
            parts = tf.pad(parts, [[0, 0], [self._whole, 0], *[[0, 0]] * 3])
            biases = tf.concat([outputs[0][:, : self._whole], biases], 1)
        return parts, biases

    def _parts(self, features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What the linear layers make of `[batch, learners or 1, h, w, channels]`."""
        if not self._linear:
            return features, tf.zeros([1, features.shape[-1]])
        dim = self._layout.dim
        # One linear layer for all learners, or one for each, filled up to one size.
        kernels, biases = (
            tf.stack([_filled(tf.cast(one, tf.float32), dim) for one in values])
            for values in (
                [one.kernel for one in self._linear],
                [one.bias for one in self._linear],
            )
        )
        if len(self._linear) == 1:
            return tf.einsum("bmhwc,cd->bmhwd", features, kernels[0]), biases
        if features.shape[1] == 1:
            return tf.einsum("bhwc,mcd->bmhwd", features[:, 0], kernels), biases
        return tf.einsum("bmhwc,mcd->bmhwd", features, kernels), biases


def _filled(values: tf.Tensor, dim: int) -> tf.Tensor:
    before = [[0, 0]] * (len(values.shape) - 1)
    return tf.pad(values, [*before, [0, dim - values.shape[-1]]])


def _scale(whole: tf.Tensor) -> tf.Tensor:
    """What gives vectors along the last axis unit length, as `l2_normalize` does."""
    squares = tf.reduce_sum(tf.square(whole), -1, keepdims=True)
    return tf.math.rsqrt(tf.maximum(squares, 1e-12))


def _numbered(network: tf.keras.Model, name: str) -> list[tf.keras.layers.Layer]:
    """The layers of a name, in the order of the learners; there may be none."""
    by_name = {layer.name: layer for layer in network.layers}
    if name in by_name:
        return [by_name[name]]
    numbered = (by_name.get(f"{name}_{number}") for number in range(len(by_name)))
    return [layer for layer in numbered if layer is not None]
