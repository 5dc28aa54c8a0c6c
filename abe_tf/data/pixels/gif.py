"""GIF files by graph operations: their size, and the first frame alone.

TensorFlow's decoder goes by the sizes of the frames, not by the one in the file's
header, and holds all frames in memory whichever it gives.
"""

from __future__ import annotations

import tensorflow as tf

# Bytes of the header, and of an image's descriptor.
_HEADER, _DESCRIPTOR = 13, 10
_EXTENSION = 0x21
# Each costs some hundredths of a millisecond, and a usual one holds 255 bytes.
_MOST_BLOCKS = 20_000


def size(encoded: tf.Tensor) -> tf.Tensor:
    """Height and width of a GIF file; `[2]` int32.

    Args:
      encoded: Scalar string. Its first frame must fill the picture, as in every
        animation that starts with a whole one.
    """
    content = tf.io.decode_raw(encoded, tf.uint8)
    return _size(content, _first_descriptor(content))


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes the first frame; uint8 RGB `[height, width, 3]`."""
    content = tf.io.decode_raw(encoded, tf.uint8)
    descriptor = _first_descriptor(content)
    table = _colour_table(_byte(content, descriptor + 9))
    # One byte for the length of codes, then the frame itself.
    end = _behind_blocks(content, descriptor + _DESCRIPTOR + table + 1)
    with tf.control_dependencies([_size(content, descriptor)]):
        alone = tf.strings.join([tf.strings.substr(encoded, 0, end), b";"])
    return tf.io.decode_image(alone, channels=3, expand_animations=False)


def _size(content: tf.Tensor, descriptor: tf.Tensor) -> tf.Tensor:
    width, height = _word(content, 6), _word(content, 8)
    frame = [_word(content, descriptor + at) for at in (1, 3, 5, 7)]
    whole = tf.reduce_all(tf.stack(frame) == tf.stack([0, 0, width, height]))
    filled = tf.debugging.Assert(
        whole,
        ["the first frame of a GIF must fill it; left, top, width, height:", *frame],
    )
    with tf.control_dependencies([filled] if filled is not None else []):
        return tf.stack([height, width])


def _first_descriptor(content: tf.Tensor) -> tf.Tensor:
    """Position of the first image's descriptor, behind comments and the like.

    Those are extensions: two bytes, then blocks.
    """

    def step(at: tf.Tensor, in_blocks: tf.Tensor) -> list[tf.Tensor]:
        byte = _byte(content, at)
        return [at + tf.where(in_blocks, 1 + byte, 2), ~in_blocks | (byte > 0)]

    start = _HEADER + _colour_table(_byte(content, 10))
    position, _ = tf.while_loop(
        lambda at, in_blocks: in_blocks | (_byte(content, at) == _EXTENSION),
        step,
        [start, tf.constant(False)],
        maximum_iterations=_MOST_BLOCKS,
    )
    return position


def _behind_blocks(content: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """Position behind blocks that each begin with their length, up to an empty one."""
    (last,) = tf.while_loop(
        lambda at: _byte(content, at) > 0,
        lambda at: [at + 1 + _byte(content, at)],
        [start],
        maximum_iterations=_MOST_BLOCKS,
    )
    found = tf.debugging.Assert(
        _byte(content, last) == 0,
        [f"the first frame of a GIF must have at most {_MOST_BLOCKS} blocks"],
    )
    with tf.control_dependencies([found] if found is not None else []):
        return last + 1


def _colour_table(flags: tf.Tensor) -> tf.Tensor:
    """Bytes of the colour table that flags announce."""
    table = 3 * tf.bitwise.left_shift(2, tf.bitwise.bitwise_and(flags, 7))
    return tf.where(flags >= 128, table, 0)


def _byte(content: tf.Tensor, at: int | tf.Tensor) -> tf.Tensor:
    return tf.cast(content[at], tf.int32)


def _word(content: tf.Tensor, at: int | tf.Tensor) -> tf.Tensor:
    return _byte(content, at) + 256 * _byte(content, at + 1)
