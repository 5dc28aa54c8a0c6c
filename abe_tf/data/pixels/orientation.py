"""EXIF orientation, read and undone by graph operations.

Cameras store the sensor's rows as they come and say in one EXIF tag how to turn them.
"""

from __future__ import annotations

import tensorflow as tf

from abe_tf.data.pixels.branches import once

_EXIF = b"Exif\x00\x00"
_APP1, _START_OF_SCAN, _FILL = 0xE1, 0xDA, 0xFF
_ORIENTATION_TAG, _ENTRY_BYTES = 0x0112, 12
# Each costs a tenth of a millisecond; colour profiles come in up to 255.
_MOST_SEGMENTS = 1000


def exif_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """The orientation that a JPEG file states.

    Args:
      encoded: Scalar string, a JPEG file.

    Returns:
      Scalar int32, 1 to 8; 1 (upright) where the file states none, or none that exists.

    Raises:
      InvalidArgumentError: More segments stand before it than photos have.
    """
    # Most files have no EXIF block: a search for its name spares them the walk.
    return tf.cond(
        has_exif(encoded),
        lambda: _read_orientation(encoded),
        lambda: tf.constant(1),
    )


def has_exif(encoded: tf.Tensor) -> tf.Tensor:
    """Whether the name of an EXIF block stands anywhere in a file; scalar bool."""
    pieces = tf.raw_ops.StringSplitV2(input=[encoded], sep=_EXIF, maxsplit=1)
    return tf.size(pieces.values) > 1


def swaps_sides(orientation: tf.Tensor) -> tf.Tensor:
    """Whether height and width change places in the upright image; scalar bool."""
    return orientation >= 5


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns and mirrors `[height, width, channels]` as an orientation asks."""

    def mirrored(pixels: tf.Tensor, axis: int, cases: list[int]) -> tf.Tensor:
        asked = tf.reduce_any(orientation == cases)
        return tf.cond(asked, lambda: tf.reverse(pixels, [axis]), lambda: pixels)

    def turned() -> tf.Tensor:
        pixels = tf.cond(
            swaps_sides(orientation),
            lambda: tf.transpose(image, [1, 0, 2]),
            lambda: image,
        )
        return mirrored(mirrored(pixels, 1, [2, 3, 6, 7]), 0, [3, 4, 7, 8])

    return tf.cond(orientation == 1, lambda: image, turned)


def in_tiff(content: tf.Tensor, tiff: tf.Tensor) -> tf.Tensor:
    """The orientation in the first directory of a TIFF structure, as EXIF has it.

    Args:
      content: int32, the bytes of a file.
      tiff: Position of the structure in it.

    Returns:
      Scalar int32, 1 to 8; 1 where none is stated, or none that exists.
    """
    little = _number(content, tiff, 1) == ord("I")

    def number(position: tf.Tensor, count: int) -> tf.Tensor:
        return _number(content, position, count, little)

    size = tf.size(content)
    directory = tiff + tf.clip_by_value(number(tiff + 4, 4), 0, size)
    entries = tf.minimum(number(directory, 2), size // _ENTRY_BYTES)
    positions = directory + 2 + _ENTRY_BYTES * tf.range(entries)
    first, second = (
        tf.gather(content, tf.minimum(positions + at, size - 1)) for at in (0, 1)
    )
    tags = tf.where(little, first + 256 * second, 256 * first + second)
    (matching,) = tf.unstack(tf.where(tags == _ORIENTATION_TAG), axis=1)
    stated = tf.cond(
        tf.size(matching) > 0,
        lambda: number(tf.gather(positions, matching[0]) + 8, 2),
        lambda: tf.constant(1),
    )
    return tf.where((stated >= 1) & (stated <= 8), stated, 1)


def _number(
    content: tf.Tensor,
    position: tf.Tensor,
    count: int,
    little: bool | tf.Tensor = False,
) -> tf.Tensor:
    """An unsigned number of `count` bytes; reads on at the end of the file."""
    last = tf.size(content) - 1
    taken = tf.gather(content, tf.minimum(position + tf.range(count), last))
    taken = tf.where(little, tf.reverse(taken, [0]), taken)
    return tf.reduce_sum(taken * [256**i for i in reversed(range(count))])


@once
def _read_orientation(encoded: tf.Tensor) -> tf.Tensor:
    content = tf.cast(tf.io.decode_raw(encoded, tf.uint8), tf.int32)
    size = tf.size(content)
    name = tf.constant(list(_EXIF))

    def is_exif(position: tf.Tensor) -> tf.Tensor:
        here = tf.minimum(position + 4 + tf.range(len(_EXIF)), size - 1)
        is_app1 = _number(content, position + 1, 1) == _APP1
        return is_app1 & tf.reduce_all(tf.gather(content, here) == name)

    def goes_on(position: tf.Tensor) -> tf.Tensor:
        marker = _number(content, position + 1, 1)
        inside = (position + 4 < size) & (_number(content, position, 1) == 0xFF)
        return inside & (marker != _START_OF_SCAN) & ~is_exif(position)

    def next_segment(position: tf.Tensor) -> tf.Tensor:
        is_fill = _number(content, position + 1, 1) == _FILL
        length = _number(content, position + 2, 2)
        return position + tf.where(is_fill, 1, 2 + length)

    # The first segment stands behind the two bytes that start the file. EXIF is to be
    # the first or the second one; a byte of filling is one as well.
    (segment,) = tf.while_loop(
        goes_on,
        lambda p: [next_segment(p)],
        [tf.constant(2)],
        maximum_iterations=_MOST_SEGMENTS,
    )
    walked = tf.debugging.Assert(
        ~goes_on(segment),
        [f"a JPEG must have at most {_MOST_SEGMENTS} segments before its EXIF block"],
    )
    with tf.control_dependencies([walked] if walked is not None else []):
        return tf.cond(
            is_exif(segment),
            lambda: in_tiff(content, segment + 4 + len(_EXIF)),
            lambda: tf.constant(1),
        )
