"""Branches that cost nothing where they are not taken."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def apart(branch: Callable[[], tf.Tensor]) -> Callable[[], tf.Tensor]:
    """Makes a branch of `tf.cond` one call in the graph.

    Otherwise TensorFlow lays both branches into the graph around them, and passes over
    each operation of the one that is not taken: for an image that takes a third of a
    millisecond to decode, hundreds of them took as long again.

    Args:
      branch: Builds the operations.
    """
    if tf.executing_eagerly():
        return branch
    return tf.function(
        branch, autograph=False, experimental_attributes={"_noinline": True}
    )
