"""Drawing pixels into a frame, by graph operations."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

# From `[4]` int32, top, left, height, width in upright pixels, to what is there.
Window = Callable[[tf.Tensor], tf.Tensor]


def render(
    window_of: Window,
    region: tf.Tensor,
    to: tf.Tensor,
    offset: tf.Tensor,
    size: tuple[int, int],
) -> tf.Tensor:
    """Draws a region of an image into a frame, which is black around it.

    Args:
      window_of: Decodes the image.
      region: `[4]` int32, top, left, height, width in upright pixels.
      to: `[2]` int32, height and width that the region is scaled to.
      offset: `[2]` int32, its corner in the frame.
      size: Height and width of the frame.

    Returns:
      uint8 RGB `[height, width, 3]`.
    """
    sides = region[2:]
    scale = tf.cast(to, tf.float32) / tf.cast(sides, tf.float32)
    # The source pixels that the frame shows, and as many around them as the
    # antialiasing triangle reaches.
    reach = tf.maximum(1 / scale, 1.0) + 1
    begin = tf.cast(-offset, tf.float32) / scale - reach
    end = tf.cast(size - offset, tf.float32) / scale + reach
    begin = tf.clip_by_value(tf.cast(tf.floor(begin), tf.int32), 0, sides - 1)
    end = tf.clip_by_value(tf.cast(tf.math.ceil(end), tf.int32), begin + 1, sides)
    window = tf.concat([region[:2] + begin, end - begin], 0)
    source = window_of(window)
    rendered = tf.cond(
        tf.reduce_all(to == sides),
        lambda: place(source, begin + offset, size),
        lambda: scaled(source, scale, begin, offset, size),
    )
    return tf.ensure_shape(rendered, [*size, 3])


def place(source: tf.Tensor, corner: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Cuts and pads with black, so that the source's corner lies at `corner`."""
    inside = source[
        tf.maximum(-corner[0], 0) : tf.maximum(size[0] - corner[0], 0),
        tf.maximum(-corner[1], 0) : tf.maximum(size[1] - corner[1], 0),
    ]
    before = tf.maximum(corner, 0)
    after = tf.maximum(size - before - tf.shape(inside)[:2], 0)
    paddings = tf.concat([tf.stack([before, after], 1), [[0, 0]]], 0)
    return tf.pad(inside, paddings)[: size[0], : size[1]]


def scaled(
    source: tf.Tensor,
    scale: tf.Tensor,
    begin: tf.Tensor,
    offset: tf.Tensor,
    size: tuple[int, int],
) -> tf.Tensor:
    """Resamples bilinearly, with antialiasing where it shrinks."""
    translation = tf.cast(offset, tf.float32) + tf.cast(begin, tf.float32) * scale
    image = tf.raw_ops.ScaleAndTranslate(
        images=source[tf.newaxis],
        size=size,
        scale=scale,
        translation=translation,
        kernel_type="triangle",
        antialias=True,
    )[0]
    return tf.saturate_cast(tf.round(image), tf.uint8)
