"""MobileNet of `tf.keras.applications`, of any width, as an encoder."""

from __future__ import annotations

import tensorflow as tf

from abe_tf.models import pretrained
from abe_tf.models.backbones import Backbone
from abe_tf.models.layers import PixelNormalization


def mobilenet(image_size: int, alpha: float, weights: str) -> Backbone:
    """Attention behind block 6, a trunk of blocks 7 to 11, G from 7 to 13.

    That is where, and as deep as, the paper puts it in GoogLeNet: on the 14 x 14
    features of a 224 x 224 image, with all blocks of that size in the trunk.

    Args:
      image_size: Height and width of the input.
      alpha: Keras' width multiplier.
      weights: "none", "imagenet" or the path of a weight file.

    Raises:
      InputError: The weights cannot be had, or belong to another network.
    """
    pixels = tf.keras.layers.Input(
        [image_size, image_size, 3], dtype=tf.uint8, name="pixels"
    )
    normalized = PixelNormalization(
        (127.5, 127.5, 127.5), 127.5, bgr=False, name="normalization"
    )(pixels)
    network = tf.keras.applications.MobileNet(
        input_tensor=normalized, alpha=alpha, include_top=False, weights=None
    )
    if weights == "imagenet":
        pretrained.load_h5(network, pretrained.download_mobilenet(alpha))
    elif weights != "none":
        pretrained.load_h5(network, weights)
    network = tf.keras.Model(pixels, network.output, name="mobilenet")
    return Backbone(network, attention_at="conv_pw_6_relu", trunk_end="conv_pw_11_relu")
