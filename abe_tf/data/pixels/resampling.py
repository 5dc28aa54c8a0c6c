"""Drawing pixels into a square, by graph operations."""

from __future__ import annotations

import tensorflow as tf


def place(source: tf.Tensor, corner: tf.Tensor, size: int) -> tf.Tensor:
    """Cuts and pads with black, so that the source's corner lies at `corner`."""
    inside = source[
        tf.maximum(-corner[0], 0) : tf.maximum(size - corner[0], 0),
        tf.maximum(-corner[1], 0) : tf.maximum(size - corner[1], 0),
    ]
    before = tf.maximum(corner, 0)
    after = tf.maximum(size - before - tf.shape(inside)[:2], 0)
    paddings = tf.concat([tf.stack([before, after], 1), [[0, 0]]], 0)
    return tf.pad(inside, paddings)[:size, :size]


def scaled(
    source: tf.Tensor,
    scale: tf.Tensor,
    begin: tf.Tensor,
    offset: tf.Tensor,
    size: int,
) -> tf.Tensor:
    """Resamples bilinearly, with antialiasing where it shrinks."""
    translation = tf.cast(offset, tf.float32) + tf.cast(begin, tf.float32) * scale
    image = tf.raw_ops.ScaleAndTranslate(
        images=source[tf.newaxis],
        size=[size, size],
        scale=scale,
        translation=translation,
        kernel_type="triangle",
        antialias=True,
    )[0]
    return tf.saturate_cast(tf.round(image), tf.uint8)
