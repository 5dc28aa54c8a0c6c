"""GIF files by graph operations: the first frame alone, as a viewer shows it.

TensorFlow's decoder holds all frames in memory whichever it gives, goes by the sizes of
the frames and not by the one in the file's header, and takes what is transparent for
black. So the first frame is put into a file of its own, of the frame's size, without
the block that says what is transparent: that colour becomes white.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from abe_tf.data.pixels.branches import once
from abe_tf.data.pixels.numbers import part

# Bytes of the header, and of an image's descriptor.
_HEADER, _DESCRIPTOR = 13, 10
_EXTENSION, _GRAPHIC_CONTROL = 0x21, 0xF9
# Each costs some hundredths of a millisecond, and a usual one holds 255 bytes.
_MOST_BLOCKS = 20_000


@dataclasses.dataclass(frozen=True)
class _Frame:
    """What stands before the first frame's pixels.

    Attributes:
      descriptor: Position of its descriptor.
      transparent: The colour that is not drawn, or -1.
      corner: `[2]` int32, top and left of the frame in the picture.
      size: `[2]` int32, height and width of the frame.
      canvas: `[2]` int32, height and width of the picture, the frame included.
    """

    descriptor: tf.Tensor
    transparent: tf.Tensor
    corner: tf.Tensor
    size: tf.Tensor
    canvas: tf.Tensor


@once
def size(encoded: tf.Tensor) -> tf.Tensor:
    """Height and width of a GIF file; `[2]` int32."""
    return _first_frame(tf.io.decode_raw(encoded, tf.uint8)).canvas


@once
def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes the first frame; uint8 RGB `[height, width, 3]`.

    White is where the frame is transparent, or does not reach.
    """
    content = tf.io.decode_raw(encoded, tf.uint8)
    frame = _first_frame(content)
    pixels = tf.io.decode_image(
        _alone(encoded, content, frame), channels=3, expand_animations=False
    )
    behind = frame.canvas - frame.corner - tf.shape(pixels)[:2]
    around = tf.concat([tf.stack([frame.corner, behind], 1), [[0, 0]]], 0)
    return tf.pad(pixels, around, constant_values=255)


def _first_frame(content: tf.Tensor) -> _Frame:
    descriptor, transparent = _first_descriptor(content)
    left, top, width, height = (_word(content, descriptor + at) for at in (1, 3, 5, 7))
    corner, frame = tf.stack([top, left]), tf.stack([height, width])
    stated = tf.stack([_word(content, 8), _word(content, 6)])
    canvas = tf.maximum(stated, corner + frame)
    return _Frame(descriptor, transparent, corner, frame, canvas)


def _alone(encoded: tf.Tensor, content: tf.Tensor, frame: _Frame) -> tf.Tensor:
    """A GIF file of the first frame, where it is all of the picture."""
    flags = _byte(content, frame.descriptor + 9)
    own, common = _colour_table(flags), _colour_table(_byte(content, 10))
    # One byte for the length of codes, then the frame itself.
    end = _behind_blocks(content, frame.descriptor + _DESCRIPTOR + own + 1)
    table = tf.where(own > 0, frame.descriptor + _DESCRIPTOR, _HEADER)
    colour = table + 3 * frame.transparent
    is_there = (frame.transparent >= 0) & (
        3 * frame.transparent < tf.where(own > 0, own, common)
    )
    encoded = tf.cond(
        is_there,
        lambda: tf.strings.join(
            [
                part(encoded, 0, colour),
                b"\xff\xff\xff",
                part(encoded, colour + 3, tf.strings.length(encoded)),
            ]
        ),
        lambda: encoded,
    )
    sides = part(encoded, frame.descriptor + 5, 4)
    behind_corner = end - frame.descriptor - 5
    return tf.strings.join(
        [
            b"GIF89a",
            sides,
            part(encoded, 10, _HEADER - 10 + common),
            b",\0\0\0\0",
            part(encoded, frame.descriptor + 5, behind_corner),
            b";",
        ]
    )


def _first_descriptor(content: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Position of the first image's descriptor, and its transparent colour or -1.

    Before it stand extensions: two bytes, then blocks.
    """

    def goes_on(
        at: tf.Tensor, in_blocks: tf.Tensor, _transparent: tf.Tensor
    ) -> tf.Tensor:
        return in_blocks | (_byte(content, at) == _EXTENSION)

    def step(
        at: tf.Tensor, in_blocks: tf.Tensor, transparent: tf.Tensor
    ) -> list[tf.Tensor]:
        byte = _byte(content, at)
        control = ~in_blocks & (_byte(content, at + 1) == _GRAPHIC_CONTROL)
        stated = tf.cond(
            control, lambda: _transparent(content, at), lambda: transparent
        )
        return [
            at + tf.where(in_blocks, 1 + byte, 2),
            ~in_blocks | (byte > 0),
            stated,
        ]

    start = _HEADER + _colour_table(_byte(content, 10))
    position, _, transparent = tf.while_loop(
        goes_on,
        step,
        [start, tf.constant(False), tf.constant(-1)],
        maximum_iterations=_MOST_BLOCKS,
    )
    checked = tf.debugging.Assert(
        _byte(content, position) == ord(","),
        [
            "a GIF must have a frame, behind at most "
            f"{_MOST_BLOCKS} blocks of comments and the like"
        ],
    )
    with tf.control_dependencies([checked] if checked is not None else []):
        return tf.identity(position), transparent


def _transparent(content: tf.Tensor, extension: tf.Tensor) -> tf.Tensor:
    """The transparent colour that a graphic control extension states, or -1."""
    is_stated = tf.bitwise.bitwise_and(_byte(content, extension + 3), 1) == 1
    return tf.where(is_stated, _byte(content, extension + 6), -1)


def _behind_blocks(content: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """Position behind blocks that each begin with their length, up to an empty one."""
    (last,) = tf.while_loop(
        lambda at: _byte(content, at) > 0,
        lambda at: [at + 1 + _byte(content, at)],
        [start],
        maximum_iterations=_MOST_BLOCKS,
    )
    checked = tf.debugging.Assert(
        _byte(content, last) == 0,
        [f"the first frame of a GIF must have at most {_MOST_BLOCKS} blocks"],
    )
    with tf.control_dependencies([checked] if checked is not None else []):
        return last + 1


def _colour_table(flags: tf.Tensor) -> tf.Tensor:
    """Bytes of the colour table that flags announce."""
    table = 3 * tf.bitwise.left_shift(2, tf.bitwise.bitwise_and(flags, 7))
    return tf.where(flags >= 128, table, 0)


def _byte(content: tf.Tensor, at: int | tf.Tensor) -> tf.Tensor:
    return tf.cast(content[at], tf.int32)


def _word(content: tf.Tensor, at: int | tf.Tensor) -> tf.Tensor:
    return _byte(content, at) + 256 * _byte(content, at + 1)
