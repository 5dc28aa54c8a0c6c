"""Parameters and multiply-adds of a built network, counted as the paper counts."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a network weighs, and what one image costs.

    Attributes:
      parameters: Numbers that the network holds.
      multiply_adds: Multiplications with an addition, of one image.
    """

    parameters: int
    multiply_adds: int


def cost(network: tf.keras.Model) -> Cost:
    """Counts from the graph that TensorFlow runs for a batch of one.

    Only convolutions and linear layers count as multiply-adds, as in the paper; what
    is folded into the batch counts as often as it runs.

        >>> pixels = tf.keras.Input([8, 8, 3])
        >>> layer = tf.keras.layers.Conv2D(2, 3, padding="same")
        >>> cost(tf.keras.Model(pixels, layer(pixels)))
        Cost(parameters=56, multiply_adds=3456)

    Args:
      network: A network with one input of a fixed size.
    """
    (pixels,) = network.inputs
    one_image = tf.TensorSpec([1, *pixels.shape[1:]], pixels.dtype)
    traced = tf.function(network, autograph=False)
    graph = traced.get_concrete_function(one_image).graph
    total = sum(_multiply_adds(operation) for operation in graph.get_operations())
    return Cost(network.count_params(), total)


def _multiply_adds(operation: tf.Operation) -> int:
    if operation.type not in ("Conv2D", "DepthwiseConv2dNative", "MatMul"):
        return 0
    kernel = operation.inputs[1].shape
    # Additions into one output: all of the kernel but its output channels. A depthwise
    # kernel is [height, width, channels, multiplier] and mixes no channels.
    depthwise = operation.type == "DepthwiseConv2dNative"
    window = kernel[:2] if depthwise else kernel[:-1]
    return int(np.prod(operation.outputs[0].shape) * np.prod(window))
