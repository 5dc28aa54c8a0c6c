"""BMP files by graph operations.

TensorFlow's own decoder takes the indices of a palette for grey values.
"""

from __future__ import annotations

import tensorflow as tf

from abe_tf.data.pixels.branches import once
from abe_tf.data.pixels.numbers import integer, part

_FILE_HEADER = 14
# Bytes of the second header, from which on it is as today.
_FIRST_READ = 40
_OTHERS = [
    "a BMP file of another kind than 1, 4, 8, 16, 24 or 32 uncompressed bits a pixel "
    "(old OS/2 headers and run lengths are not read)"
]
_UNCOMPRESSED, _BIT_FIELDS, _ALPHA_BIT_FIELDS = 0, 3, 6
# Where the masks of red, green, blue and opacity stand, and the smallest second header
# that holds the last one.
_MASKS, _WITH_ALPHA = 54, 56
# Of red, green and blue where a file of 16 bits states none.
_FIFTEEN_BITS = (0x7C00, 0x03E0, 0x001F, 0)


@once
def size(encoded: tf.Tensor) -> tf.Tensor:
    """Height and width of a BMP file; `[2]` int32."""
    known = tf.debugging.Assert(integer(encoded, 14, tf.int32) >= _FIRST_READ, _OTHERS)
    with tf.control_dependencies([known] if known is not None else []):
        width = integer(encoded, 18, tf.int32)
    # A negative height says that the first row is the top one.
    return tf.stack([tf.abs(integer(encoded, 22, tf.int32)), width])


@once
def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a BMP file with 1, 4, 8, 16, 24 or 32 uncompressed bits a pixel.

    Args:
      encoded: Scalar string.

    Returns:
      uint8 RGB `[height, width, 3]`, laid over white where the file states a mask of
      opacity. Without one the fourth byte of 32 bits is left out: most programs write
      no opacity there.
    """
    content = tf.io.decode_raw(encoded, tf.uint8)
    start, header, compression = (integer(encoded, at, tf.int32) for at in (10, 14, 30))
    bits = integer(encoded, 28, tf.int16)
    height, width = tf.unstack(size(encoded), num=2)
    _check(header, compression, bits)
    row_bytes = (width * bits + 31) // 32 * 4
    rows = tf.reshape(content[start : start + row_bytes * height], [height, row_bytes])
    has_masks = (compression != _UNCOMPRESSED) | (bits == 16)
    pixels = tf.case(
        [
            (
                bits <= 8,
                lambda: _look_up(
                    content, rows, _FILE_HEADER + header, start, bits, width
                ),
            ),
            (
                has_masks,
                lambda: _masked(
                    rows, _masks(encoded, header, compression), bits // 8, width
                ),
            ),
        ],
        default=lambda: _direct(rows, bits // 8, width),
    )
    from_bottom = integer(encoded, 22, tf.int32) > 0
    return tf.cond(from_bottom, lambda: tf.reverse(pixels, [0]), lambda: pixels)


def _check(header: tf.Tensor, compression: tf.Tensor, bits: tf.Tensor) -> None:
    plain = (compression == _UNCOMPRESSED) & tf.reduce_any(
        bits == [1, 4, 8, 16, 24, 32]
    )
    fields = tf.reduce_any(compression == [_BIT_FIELDS, _ALPHA_BIT_FIELDS])
    tf.debugging.Assert(
        (header >= _FIRST_READ) & (plain | (fields & tf.reduce_any(bits == [16, 32]))),
        _OTHERS,
    )


def _look_up(
    content: tf.Tensor,
    rows: tf.Tensor,
    palette_start: tf.Tensor,
    pixels_start: tf.Tensor,
    bits: tf.Tensor,
    width: tf.Tensor,
) -> tf.Tensor:
    # Some programs leave a gap before the pixels, some state fewer colours than the
    # bits can tell apart.
    colours = tf.bitwise.left_shift(1, bits)
    stated = tf.minimum(colours, (pixels_start - palette_start) // 4)
    table = content[palette_start : palette_start + 4 * stated]
    palette = tf.reshape(table, [stated, 4])[:, 2::-1]
    palette = tf.pad(palette, [[0, colours - stated], [0, 0]])
    # Several pixels stand in one byte, the left one in the high bits.
    shifts = 8 - bits * (1 + tf.range(8 // bits))
    several = tf.cast(rows, tf.int32)[:, :, tf.newaxis] // 2**shifts % 2**bits
    indices = tf.reshape(several, [tf.shape(rows)[0], -1])[:, :width]
    return tf.gather(palette, indices)


def _direct(rows: tf.Tensor, channels: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    return _in_pixels(rows, channels, width)[:, :, 2::-1]


def _in_pixels(rows: tf.Tensor, channels: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """The bytes of each pixel; `[height, width, channels]` uint8."""
    used = rows[:, : width * channels]
    return tf.reshape(used, [tf.shape(rows)[0], width, channels])


def _masks(encoded: tf.Tensor, header: tf.Tensor, compression: tf.Tensor) -> tf.Tensor:
    """Which bits of a pixel are red, green, blue and opacity; `[4]` int64."""
    with_alpha = (header >= _WITH_ALPHA) | (compression == _ALPHA_BIT_FIELDS)
    count = tf.where(with_alpha, 4, 3)
    field = part(encoded, _MASKS, 4 * count)
    signed = tf.cast(tf.io.decode_raw(field, tf.int32), tf.int64)
    masks = tf.bitwise.bitwise_and(signed, tf.constant(2**32 - 1, tf.int64))
    masks = tf.pad(masks, [[0, 4 - count]])
    unstated = tf.constant(_FIFTEEN_BITS, tf.int64)
    return tf.where(compression == _UNCOMPRESSED, unstated, masks)


def _masked(
    rows: tf.Tensor, masks: tf.Tensor, bytes_each: tf.Tensor, width: tf.Tensor
) -> tf.Tensor:
    stored = tf.cast(_in_pixels(rows, bytes_each, width), tf.int64)
    values = tf.reduce_sum(stored * 256 ** tf.range(tf.cast(bytes_each, tf.int64)), -1)
    lowest = tf.maximum(tf.bitwise.bitwise_and(masks, -masks), 1)
    parts = tf.bitwise.bitwise_and(values[:, :, tf.newaxis], masks) // lowest
    shares = tf.cast(parts, tf.float32) / tf.cast(
        tf.maximum(masks // lowest, 1), tf.float32
    )
    opacity = shares[:, :, 3:]
    # Some programs state a mask and write nothing there: all would be transparent.
    alpha = tf.where(tf.reduce_any(opacity > 0), opacity, 1.0)
    over_white = shares[:, :, :3] * alpha + 1 - alpha
    return tf.cast(tf.round(255 * over_white), tf.uint8)
