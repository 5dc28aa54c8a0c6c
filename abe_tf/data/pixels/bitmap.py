"""BMP files by graph operations.

TensorFlow's own decoder takes the indices of a palette for grey values.
"""

from __future__ import annotations

import tensorflow as tf

_FILE_HEADER = 14
_UNCOMPRESSED, _BIT_FIELDS = 0, 3


def integer(
    encoded: tf.Tensor, position: int, kind: tf.DType, little: bool = True
) -> tf.Tensor:
    """A number in a file's header; scalar int32."""
    field = tf.strings.substr(encoded, position, kind.size)
    (value,) = tf.unstack(tf.io.decode_raw(field, kind, little_endian=little), num=1)
    return tf.cast(value, tf.int32)


def size(encoded: tf.Tensor) -> tf.Tensor:
    """Height and width of a BMP file; `[2]` int32."""
    width = integer(encoded, 18, tf.int32)
    # A negative height says that the first row is the top one.
    return tf.stack([tf.abs(integer(encoded, 22, tf.int32)), width])


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a BMP file with 1, 4, 8, 24 or 32 uncompressed bits a pixel.

    Args:
      encoded: Scalar string.

    Returns:
      uint8 RGB `[height, width, 3]`. The fourth byte of 32 bits is left out: most
      programs write no opacity there.
    """
    content = tf.io.decode_raw(encoded, tf.uint8)
    start, header = (integer(encoded, at, tf.int32) for at in (10, 14))
    bits = integer(encoded, 28, tf.int16)
    height, width = tf.unstack(size(encoded), num=2)
    _check(encoded, header, bits)
    row_bytes = (width * bits + 31) // 32 * 4
    rows = tf.reshape(content[start : start + row_bytes * height], [height, row_bytes])
    pixels = tf.cond(
        bits <= 8,
        lambda: _look_up(content, rows, _FILE_HEADER + header, start, bits, width),
        lambda: _direct(rows, bits // 8, width),
    )
    from_bottom = integer(encoded, 22, tf.int32) > 0
    return tf.cond(from_bottom, lambda: tf.reverse(pixels, [0]), lambda: pixels)


def _check(encoded: tf.Tensor, header: tf.Tensor, bits: tf.Tensor) -> None:
    compression = integer(encoded, 30, tf.int32)
    masks = tf.strings.substr(encoded, _FILE_HEADER + 40, 12)
    usual = masks == b"\x00\x00\xff\x00\x00\xff\x00\x00\xff\x00\x00\x00"
    plain = (compression == _UNCOMPRESSED) & tf.reduce_any(bits == [1, 4, 8, 24, 32])
    fields = (compression == _BIT_FIELDS) & (bits == 32) & usual
    tf.debugging.Assert(
        (header >= 40) & (plain | fields),
        ["a BMP file of another kind than 1, 4, 8, 24 or 32 uncompressed bits a pixel"],
    )


def _look_up(
    content: tf.Tensor,
    rows: tf.Tensor,
    palette_start: tf.Tensor,
    palette_end: tf.Tensor,
    bits: tf.Tensor,
    width: tf.Tensor,
) -> tf.Tensor:
    palette = tf.reshape(content[palette_start:palette_end], [-1, 4])[:, 2::-1]
    # Several pixels stand in one byte, the left one in the high bits.
    shifts = 8 - bits * (1 + tf.range(8 // bits))
    several = tf.cast(rows, tf.int32)[:, :, tf.newaxis] // 2**shifts % 2**bits
    indices = tf.reshape(several, [tf.shape(rows)[0], -1])[:, :width]
    return tf.gather(palette, indices)


def _direct(rows: tf.Tensor, channels: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    used = rows[:, : width * channels]
    pixels = tf.reshape(used, [tf.shape(rows)[0], width, channels])
    return pixels[:, :, 2::-1]
