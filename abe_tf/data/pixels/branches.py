"""Parts of graphs that cost nothing where they are not taken, nor a second time."""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf

_ONE_CALL = {"_noinline": True}


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
    return tf.function(branch, autograph=False, experimental_attributes=_ONE_CALL)


def once(of_file: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Builds what is read of a file once a process; each use of it is one call.

    Training, evaluation, pictures and exports decode alike, and each would build those
    hundreds of operations again, which takes seconds.

    Args:
      of_file: Builds the operations, of a scalar string.
    """
    built = tf.function(
        of_file,
        [tf.TensorSpec([], tf.string)],
        autograph=False,
        experimental_attributes=_ONE_CALL,
    )

    @functools.wraps(of_file)
    def use(encoded: tf.Tensor) -> tf.Tensor:
        return (of_file if tf.executing_eagerly() else built)(encoded)

    return use
