"""Inception v1 with batch normalisation, as TF-Slim has it."""

from __future__ import annotations

import tensorflow as tf

from abe_tf.config.sizes import ImageSize, sides
from abe_tf.models.backbones import Backbone, backbone
from abe_tf.models.inception import BLOCKS, PLACES, inception_block
from abe_tf.models.layers import PixelNormalization
from abe_tf.models.weights import inception

layers = tf.keras.layers


def inception_bn(image_size: ImageSize, weights: str = "none") -> Backbone:
    """GoogLeNet with batch normalisation instead of biases.

    It differs from the paper's encoder in what TF-Slim does otherwise: 3 x 3 where the
    paper has 5 x 5, padding as TensorFlow pads, no local response normalisation, pixels
    from -1 to 1. Attention is where it is in GoogLeNet.

    Args:
      image_size: Side of a square or height and width, at least 32.
      weights: "none", "imagenet" or the path of a weight file.

    Raises:
      InputError: The weights cannot be had, or belong to another network.
    """
    pixels = layers.Input([*sides(image_size), 3], dtype=tf.uint8, name="pixels")
    x = PixelNormalization(
        (127.5, 127.5, 127.5), 127.5, bgr=False, name="normalization"
    )(pixels)
    x = _convolve(x, 64, 7, "conv1_7x7_s2", stride=2)
    x = layers.MaxPool2D(3, 2, padding="same", name="pool1")(x)
    x = _convolve(x, 64, 1, "conv2_3x3_reduce")
    x = _convolve(x, 192, 3, "conv2_3x3")
    x = layers.MaxPool2D(3, 2, padding="same", name="pool2")(x)
    x = _blocks(x, "3a", "3b")
    x = layers.MaxPool2D(3, 2, padding="same", name="pool3")(x)
    x = _blocks(x, "4a", "4b", "4c", "4d", "4e")
    x = layers.MaxPool2D(2, 2, padding="same", name="pool4")(x)
    x = _blocks(x, "5a", "5b")
    network = tf.keras.Model(pixels, x, name="inception_bn")
    if weights != "none":
        inception.load_slim(network, weights)
    return backbone(network, PLACES, "pool3", 5)


def _blocks(x: tf.Tensor, *names: str) -> tf.Tensor:
    for name in names:
        x = inception_block(x, BLOCKS[name], f"inception_{name}", _convolve, 3)
    return x


def _convolve(
    x: tf.Tensor, filters: int, size: int, name: str, stride: int = 1
) -> tf.Tensor:
    x = layers.Conv2D(filters, size, stride, padding="same", use_bias=False, name=name)(
        x
    )
    x = layers.BatchNormalization(
        momentum=0.9, epsilon=0.001, scale=False, name=f"{name}_bn"
    )(x)
    return layers.ReLU(name=f"{name}_relu")(x)
