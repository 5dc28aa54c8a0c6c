"""A network that computes in bfloat16 where that pays and costs little accuracy."""

from __future__ import annotations

import tensorflow as tf

from abe_tf.models.backbones import SPATIAL


def in_bfloat16(network: tf.keras.Model) -> tf.keras.Model:
    """Copies an ensemble; the convolutions of all learners compute in bfloat16.

    These are the convolutions behind S that mix channels, which is most of the work and
    what the hardware is faster at in bfloat16. All else stays float32: errors of S
    would reach every learner, and rounding before a normalisation or in a depthwise
    convolution costs accuracy and saves no time.

    Args:
      network: In float32, from `attention_ensemble` or `multi_head_ensemble`.

    Returns:
      A network of the same layers, weights (float32) and outputs (float32).
    """

    def copy(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        if isinstance(layer, tf.keras.Model):
            if layer.name == SPATIAL:
                return tf.keras.models.clone_model(layer)
            return tf.keras.models.clone_model(layer, clone_function=copy)
        config = layer.get_config()
        if isinstance(layer, tf.keras.layers.Conv2D):
            config["dtype"] = "mixed_bfloat16"
        return type(layer).from_config(config)

    copied = copy(network)
    copied.set_weights(network.get_weights())
    return copied
