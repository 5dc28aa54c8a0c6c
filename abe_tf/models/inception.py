"""The inception block of GoogLeNet (Szegedy et al., CVPR 2015), at any width."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

layers = tf.keras.layers

# How a network convolves: (input, filters, size, name) -> output.
Convolution = Callable[[tf.Tensor, int, int, str], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Filters:
    """Output channels of the six convolutions of a block, named as in the paper."""

    conv_1x1: int
    reduce_3x3: int
    conv_3x3: int
    reduce_5x5: int
    conv_5x5: int
    pool_proj: int

    def scaled(self, width: float) -> Filters:
        """The same block with every number of channels times `width`."""
        return Filters(*(round(n * width) for n in dataclasses.astuple(self)))


# Where a network of these blocks may be cut: behind a pooling, or behind a block.
PLACES = r"pool\d|inception_\d[a-e]"
# Table 1 of GoogLeNet's paper.
BLOCKS = {
    "3a": Filters(64, 96, 128, 16, 32, 32),
    "3b": Filters(128, 128, 192, 32, 96, 64),
    "4a": Filters(192, 96, 208, 16, 48, 64),
    "4b": Filters(160, 112, 224, 24, 64, 64),
    "4c": Filters(128, 128, 256, 24, 64, 64),
    "4d": Filters(112, 144, 288, 32, 64, 64),
    "4e": Filters(256, 160, 320, 32, 128, 128),
    "5a": Filters(256, 160, 320, 32, 128, 128),
    "5b": Filters(384, 192, 384, 48, 128, 128),
}


def inception_block(
    features: tf.Tensor,
    filters: Filters,
    name: str,
    convolve: Convolution,
    largest: int = 5,
) -> tf.Tensor:
    """Four branches side by side; the concatenation carries the block's name.

    Args:
      features: `[batch, height, width, channels]`.
      filters: Output channels.
      name: Name of the block.
      convolve: How the network convolves.
      largest: Size of the third branch's convolution, 5 in the paper.
    """
    branch_3x3 = convolve(features, filters.reduce_3x3, 1, f"{name}_3x3_reduce")
    branch_5x5 = convolve(features, filters.reduce_5x5, 1, f"{name}_5x5_reduce")
    # Stride 1 and "same" padding: TensorFlow pads 1 on every side, as Caffe does.
    pooled = layers.MaxPool2D(3, 1, padding="same", name=f"{name}_pool")(features)
    branches = [
        convolve(features, filters.conv_1x1, 1, f"{name}_1x1"),
        convolve(branch_3x3, filters.conv_3x3, 3, f"{name}_3x3"),
        convolve(branch_5x5, filters.conv_5x5, largest, f"{name}_5x5"),
        convolve(pooled, filters.pool_proj, 1, f"{name}_pool_proj"),
    ]
    return layers.Concatenate(name=name)(branches)
