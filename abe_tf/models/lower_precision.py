"""A network that computes in bfloat16 where that pays and costs little accuracy."""

from __future__ import annotations

import tensorflow as tf

from abe_tf.models.backbones import EMBEDDING_FEATURES, SPATIAL


def in_bfloat16(network: tf.keras.Model) -> tf.keras.Model:
    """Copies an ensemble; most convolutions of the learners compute in bfloat16.

    These are the convolutions behind S that mix channels, but not those of the size
    that is pooled, if G has others: most of the work, and what the hardware is faster
    at in bfloat16. All else stays float32. Errors of S would reach every learner, those
    just before the pooling are averaged over few places, and rounding before a
    normalisation or in a depthwise convolution saves no time.

    Args:
      network: In float32, as `models.build` makes it.

    Returns:
      A network of the same layers, weights (float32) and outputs (float32).
    """
    first = _size(network.get_layer(SPATIAL))
    *_, last = (
        _size(layer)
        for layer in network.layers
        if layer.name.startswith(EMBEDDING_FEATURES)
    )

    def copy(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        if isinstance(layer, tf.keras.Model):
            if layer.name == SPATIAL:
                return tf.keras.models.clone_model(layer)
            return tf.keras.models.clone_model(layer, clone_function=copy)
        config = layer.get_config()
        # Not the depthwise ones, which are another class.
        if isinstance(layer, tf.keras.layers.Conv2D) and (
            last == first or _size(layer) != last
        ):
            config["dtype"] = "mixed_bfloat16"
        return type(layer).from_config(config)

    copied = copy(network)
    copied.set_weights(network.get_weights())
    return copied


def _size(layer: tf.keras.layers.Layer) -> tuple[int, int]:
    # Of its first node: cutting gives layers further ones, of the same size.
    return tuple(layer.get_output_shape_at(0)[1:3])
