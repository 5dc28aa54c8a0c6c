"""Parts of image files, and numbers as they hold them, by graph operations."""

from __future__ import annotations

import tensorflow as tf


def part(
    encoded: tf.Tensor, position: int | tf.Tensor, size: int | tf.Tensor
) -> tf.Tensor:
    """Bytes of a file, as far as it has them; scalar string.

    TensorFlow's own operation refuses a position behind the end with a message that
    holds the file, which is no text.
    """
    start = tf.minimum(position, tf.strings.length(encoded))
    return tf.strings.substr(encoded, start, size)


def integer(
    encoded: tf.Tensor, position: int | tf.Tensor, kind: tf.DType, little: bool = True
) -> tf.Tensor:
    """A number somewhere in a file.

    Args:
      encoded: Scalar string, the file.
      position: Position of its first byte.
      kind: Its type in the file.
      little: Whether its lowest byte comes first.

    Returns:
      Scalar int32.

    Raises:
      InvalidArgumentError: The file ends before.
    """
    field = part(encoded, position, kind.size)
    (value,) = tf.unstack(tf.io.decode_raw(field, kind, little_endian=little), num=1)
    return tf.cast(value, tf.int32)
