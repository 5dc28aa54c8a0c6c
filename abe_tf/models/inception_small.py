"""A narrow, batch-normalised Inception for images of 32 to 96 pixels."""

from __future__ import annotations

import tensorflow as tf

from abe_tf.config.sizes import ImageSize, sides
from abe_tf.models.backbones import Backbone, backbone
from abe_tf.models.inception import BLOCKS, PLACES, inception_block
from abe_tf.models.layers import PixelNormalization

layers = tf.keras.layers

_WIDTH = 0.375
# Keras' 0.99 leaves the averages stale in runs of a few hundred steps: recall near
# chance while the loss falls.
_MOMENTUM = 0.9


def inception_small(image_size: ImageSize) -> Backbone:
    """Five inception blocks at 0.375 of GoogLeNet's width.

    It keeps more of a small image than GoogLeNet: features of a quarter of the image's
    height where attention goes, behind 3b, and of an eighth at the end. The trunk
    copies 4a; G is 4a, 4e and 5a.

    Args:
      image_size: Side of a square or height and width, at least 16.
    """
    pixels = layers.Input([*sides(image_size), 3], dtype=tf.uint8, name="pixels")
    x = PixelNormalization(
        (127.5, 127.5, 127.5), 127.5, bgr=False, name="normalization"
    )(pixels)
    x = _convolve(x, 16, 3, "conv1")
    x = layers.MaxPool2D(3, 2, padding="same", name="pool1")(x)
    x = _convolve(x, 48, 3, "conv2")
    x = layers.MaxPool2D(3, 2, padding="same", name="pool2")(x)
    x = _blocks(x, "3a", "3b")
    x = _blocks(x, "4a")
    x = layers.MaxPool2D(3, 2, padding="same", name="pool4")(x)
    x = _blocks(x, "4e", "5a")
    network = tf.keras.Model(pixels, x, name="inception_small")
    return backbone(network, PLACES, "inception_3b", 1)


def _blocks(x: tf.Tensor, *names: str) -> tf.Tensor:
    for name in names:
        filters = BLOCKS[name].scaled(_WIDTH)
        x = inception_block(x, filters, f"inception_{name}", _convolve)
    return x


def _convolve(x: tf.Tensor, filters: int, size: int, name: str) -> tf.Tensor:
    x = layers.Conv2D(filters, size, padding="same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
