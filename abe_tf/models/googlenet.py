"""GoogLeNet as the paper cuts it: Caffe's `bvlc_googlenet` without its classifiers."""

from __future__ import annotations

import tensorflow as tf

from abe_tf.config.sizes import ImageSize, sides
from abe_tf.models.backbones import Backbone, backbone
from abe_tf.models.inception import BLOCKS, PLACES, inception_block
from abe_tf.models.layers import LocalResponseNormalization, PixelNormalization
from abe_tf.models.weights import inception

layers = tf.keras.layers

# ImageNet's channel means as Caffe's users round them.
_BGR_MEANS = (104.0, 117.0, 123.0)


def googlenet(image_size: ImageSize, weights: str = "none") -> Backbone:
    """The paper's encoder: attention at pool3, a trunk of 4a to 4e, G from 4a to 5b.

    ReLU after every convolution, local response normalisation twice, no batch
    normalisation; Caffe's padding and its rounding of pooled sizes.

    Args:
      image_size: Side of a square or height and width, at least 32.
      weights: "none", "imagenet" or the path of a weight file.

    Raises:
      InputError: The weights cannot be had, or belong to another network.
    """
    pixels = layers.Input([*sides(image_size), 3], dtype=tf.uint8, name="pixels")
    x = PixelNormalization(_BGR_MEANS, 1.0, bgr=True, name="normalization")(pixels)
    # "same" would pad 2 and 3 at stride 2; Caffe pads 3 on every side.
    x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
    x = layers.Conv2D(64, 7, 2, activation="relu", name="conv1_7x7_s2")(x)
    x = _max_pool(x, "pool1")
    x = LocalResponseNormalization(name="pool1_norm1")(x)
    x = _convolve(x, 64, 1, "conv2_3x3_reduce")
    x = _convolve(x, 192, 3, "conv2_3x3")
    x = LocalResponseNormalization(name="conv2_norm2")(x)
    x = _max_pool(x, "pool2")
    for block in ("3a", "3b"):
        x = inception_block(x, BLOCKS[block], f"inception_{block}", _convolve)
    x = _max_pool(x, "pool3")
    for block in ("4a", "4b", "4c", "4d", "4e"):
        x = inception_block(x, BLOCKS[block], f"inception_{block}", _convolve)
    x = _max_pool(x, "pool4")
    for block in ("5a", "5b"):
        x = inception_block(x, BLOCKS[block], f"inception_{block}", _convolve)
    network = tf.keras.Model(pixels, x, name="googlenet")
    if weights != "none":
        inception.load_caffe(network, weights)
    return backbone(network, PLACES, "pool3", 5)


def _convolve(x: tf.Tensor, filters: int, size: int, name: str) -> tf.Tensor:
    return layers.Conv2D(filters, size, padding="same", activation="relu", name=name)(x)


def _max_pool(x: tf.Tensor, name: str) -> tf.Tensor:
    """3 x 3, stride 2, sizes rounded up as Caffe does.

    At even sizes Caffe's last window hangs over by one row and column; at odd sizes
    none does. Zeros stand in for the missing values: what is pooled is never negative.
    """
    height, width = x.shape[1] % 2 == 0, x.shape[2] % 2 == 0
    if height or width:
        padding = ((0, int(height)), (0, int(width)))
        x = layers.ZeroPadding2D(padding, name=f"{name}_pad")(x)
    return layers.MaxPool2D(3, 2, name=name)(x)
