"""PNG files by graph operations: what TensorFlow's decoder leaves out of account.

It takes the opacity that it adds to files of few bits for what the file states, keeps
the high byte of 16 bits, and knows no orientation.
"""

from __future__ import annotations

import tensorflow as tf

from abe_tf.data.pixels.branches import apart, once
from abe_tf.data.pixels.numbers import integer
from abe_tf.data.pixels.orientation import in_tiff, swaps_sides, upright

_SIGNATURE = 8
# Around the content of a chunk: its length and name before it, its sum behind.
_BEFORE, _AROUND = 8, 12
# Each costs some hundredths of a millisecond. They hold 8 kB or more as a rule.
_MOST_CHUNKS = 20_000


@once
def size(encoded: tf.Tensor) -> tf.Tensor:
    """Height and width of a PNG file as a viewer shows it; `[2]` int32."""
    width, height = (integer(encoded, at, tf.int32, little=False) for at in (16, 20))
    stored = tf.stack([height, width])
    swapped = swaps_sides(_orientation(encoded))
    return tf.cond(swapped, lambda: stored[::-1], lambda: stored)


@once
def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a PNG file; uint8 RGB `[height, width, 3]`, upright, over white."""
    bits = integer(encoded, 24, tf.uint8)
    pixels = tf.cond(
        bits == 16,
        apart(lambda: _sixteen_bits(encoded)),
        lambda: _eight_bits(encoded, bits),
    )
    return upright(pixels, _orientation(encoded))


def _sixteen_bits(encoded: tf.Tensor) -> tf.Tensor:
    pixels = tf.image.decode_png(encoded, channels=4, dtype=tf.uint16)
    shares = tf.cast(pixels, tf.float32) / (2**16 - 1)
    return _over_white(shares[:, :, :3], shares[:, :, 3:])


def _eight_bits(encoded: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    pixels = tf.image.decode_png(encoded, channels=4)
    colour, alpha = pixels[:, :, :3], pixels[:, :, 3:]
    # Where TensorFlow adds opacity to files of 1, 2 or 4 bits, full is 1, 3 or 15.
    # Where the file states it itself, full is 255 as elsewhere.
    full = tf.saturate_cast(tf.bitwise.left_shift(1, bits) - 1, tf.uint8)
    stated = tf.cond(
        bits < 8, lambda: _find(encoded, b"tRNS") > 0, lambda: tf.constant(True)
    )
    alpha = tf.where((alpha == full) & ~stated, tf.constant(255, tf.uint8), alpha)
    opaque = tf.reduce_all(alpha == 255)
    return tf.cond(
        opaque,
        lambda: colour,
        lambda: _over_white(
            tf.cast(colour, tf.float32) / 255, tf.cast(alpha, tf.float32) / 255
        ),
    )


def _over_white(colour: tf.Tensor, opacity: tf.Tensor) -> tf.Tensor:
    """Mixes with white; both from 0 to 1."""
    mixed = colour * opacity + (1 - opacity)
    return tf.cast(tf.round(255 * mixed), tf.uint8)


def _orientation(encoded: tf.Tensor) -> tf.Tensor:
    """The orientation that the file's eXIf chunk states, 1 to 8; 1 without."""

    def stated() -> tf.Tensor:
        tiff = _find(encoded, b"eXIf")
        content = tf.cast(tf.io.decode_raw(encoded, tf.uint8), tf.int32)
        return tf.cond(tiff > 0, lambda: in_tiff(content, tiff), lambda: tf.constant(1))

    # Most files have none: a search for its name spares them the walk.
    pieces = tf.raw_ops.StringSplitV2(input=[encoded], sep=b"eXIf", maxsplit=1)
    return tf.cond(tf.size(pieces.values) > 1, apart(stated), lambda: tf.constant(1))


def _find(encoded: tf.Tensor, name: bytes) -> tf.Tensor:
    """Where the content of the first chunk of a name begins; 0 without such a chunk."""
    end = tf.strings.length(encoded)

    def name_at(position: tf.Tensor) -> tf.Tensor:
        return tf.strings.substr(encoded, position + 4, 4)

    def goes_on(position: tf.Tensor) -> tf.Tensor:
        # Behind the end nothing can be cut out, and both sides are evaluated.
        inside = position + _AROUND <= end
        here = name_at(tf.minimum(position, end - _AROUND))
        return inside & (here != name) & (here != b"IEND")

    def next_chunk(position: tf.Tensor) -> list[tf.Tensor]:
        length = integer(encoded, position, tf.int32, little=False)
        return [position + _AROUND + tf.clip_by_value(length, 0, end)]

    (position,) = tf.while_loop(
        goes_on,
        next_chunk,
        [tf.constant(_SIGNATURE)],
        maximum_iterations=_MOST_CHUNKS,
    )
    walked = tf.debugging.Assert(
        ~goes_on(position), [f"a PNG must have at most {_MOST_CHUNKS} chunks"]
    )
    is_there = (position + _AROUND <= end) & (
        name_at(tf.minimum(position, end - _AROUND)) == name
    )
    with tf.control_dependencies([walked] if walked is not None else []):
        return tf.where(is_there, position + _BEFORE, 0)
