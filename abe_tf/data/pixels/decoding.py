"""From the bytes of an image file to upright RGB pixels, by graph operations alone.

JPEG (grey, RGB, CMYK; all EXIF orientations), PNG (grey, RGB, palette, with alpha, 1 to
16 bits), GIF (the first frame) and BMP. What it cannot read it refuses.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from abe_tf.data.pixels import bitmap, gif
from abe_tf.data.pixels.branches import apart
from abe_tf.data.pixels.orientation import (
    exif_orientation,
    has_exif,
    swaps_sides,
    upright,
)

# A few kilobytes can decode to gigabytes; photos of 100 megapixels exist.
MAX_PIXELS = 100_000_000
_COLOUR_REACH = 2
# Of a square JPEG file as sets of small images have them, for each of its pixels.
_USUAL_BYTES = 4
# Scans times pixels; so many take a second.
_SCAN, _MOST_SCANNED, _COUNTED_SCANS = b"\xff\xda", 6_000_000_000, 100_000
# TensorFlow's default is off by ten grey levels in finely compressed files.
_ACCURATE = "INTEGER_ACCURATE"

_Decoder = Callable[[tf.Tensor], tf.Tensor]


def upright_size(encoded: tf.Tensor, max_pixels: int = MAX_PIXELS) -> tf.Tensor:
    """Reads how large an image is without decoding it.

    Args:
      encoded: Scalar string, the bytes of an image file.
      max_pixels: A larger one is refused.

    Returns:
      `[2]` int32: height and width as a viewer shows it.
    """

    def jpeg() -> tf.Tensor:
        stored = tf.image.extract_jpeg_shape(encoded)[:2]
        with tf.control_dependencies(_check_scans(encoded, stored)):
            swapped = swaps_sides(exif_orientation(encoded))
        return tf.cond(swapped, lambda: stored[::-1], lambda: stored)

    size = _by_format(encoded, jpeg, _png_size, gif.size, bitmap.size)
    pixels = tf.reduce_prod(tf.cast(size, tf.int64))
    tf.debugging.Assert(
        (pixels > 0) & (pixels <= max_pixels),
        [f"an image must have 1 to {max_pixels} pixels; height and width:", size],
    )
    return tf.ensure_shape(size, [2])


def decode_window(encoded: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    """Decodes a part of an image.

    Args:
      encoded: Scalar string, the bytes of an image file.
      window: `[4]` int32: top, left, height, width in pixels of the upright image.

    Returns:
      uint8 RGB `[height, width, 3]`. Transparent pixels are laid over white.
    """

    def jpeg() -> tf.Tensor:
        orientation = exif_orientation(encoded)
        return tf.cond(
            orientation == 1,
            lambda: _decode_jpeg_window(encoded, window),
            apart(
                lambda: _cut(upright(decode_plain_jpeg(encoded), orientation), window)
            ),
        )

    def whole(decode: _Decoder) -> _Decoder:
        return lambda file: _cut(decode(file), window)

    image = _by_format(
        encoded, jpeg, whole(_decode_png), whole(gif.decode), whole(bitmap.decode)
    )
    return tf.ensure_shape(image, [None, None, 3])


def is_plain_jpeg(encoded: tf.Tensor, side: int) -> tf.Tensor:
    """Whether it is a square JPEG file of this side and usual size, upright as stored.

    Args:
      encoded: Scalar string, the bytes of any file.
      side: In pixels.

    Returns:
      Scalar bool.
    """
    # A larger file is of many scans, or has much else in it.
    usual = tf.strings.length(encoded) <= _USUAL_BYTES * side * side

    def fits() -> tf.Tensor:
        height, width, _ = tf.unstack(tf.image.extract_jpeg_shape(encoded), num=3)
        return (height == side) & (width == side) & ~has_exif(encoded)

    return tf.cond(_is_jpeg(encoded) & usual, fits, lambda: tf.constant(False))


def decode_plain_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG file as it is stored; uint8 RGB `[height, width, 3]`."""
    return tf.image.decode_jpeg(encoded, channels=3, dct_method=_ACCURATE)


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a whole image; uint8 RGB `[height, width, 3]`."""
    return decode_window(encoded, tf.concat([[0, 0], upright_size(encoded)], 0))


def _by_format(
    encoded: tf.Tensor,
    jpeg: Callable[[], tf.Tensor],
    png: _Decoder,
    animation: _Decoder,
    bmp: _Decoder,
) -> tf.Tensor:
    def starts_with(magic: bytes) -> tf.Tensor:
        return tf.strings.substr(encoded, 0, len(magic)) == magic

    def bmp_or_nothing() -> tf.Tensor:
        known = tf.debugging.Assert(
            starts_with(b"BM"), ["no JPEG, PNG, GIF or BMP file"]
        )
        # Before the header is read, which an empty file lacks.
        with tf.control_dependencies([known] if known is not None else []):
            return bmp(encoded)

    def others() -> tf.Tensor:
        return tf.cond(
            starts_with(b"\x89PNG\r\n\x1a\n"),
            lambda: png(encoded),
            lambda: tf.cond(
                starts_with(b"GIF8"), lambda: animation(encoded), bmp_or_nothing
            ),
        )

    # JPEG first and apart: the others' checks cost it nothing.
    return tf.cond(_is_jpeg(encoded), jpeg, apart(others))


def _check_scans(encoded: tf.Tensor, size: tf.Tensor) -> list[tf.Operation]:
    """Bounds the work of decoding, which grows with scans times pixels.

    A progressive file goes over all its pixels in each scan, and a scan may be ten
    bytes long. Counted is what scans begin with, wherever it stands: by chance also in
    a film behind the photo, so that the bound is far above what photos need.
    """
    pixels = tf.reduce_prod(tf.cast(size, tf.int64))
    most = _MOST_SCANNED // tf.maximum(pixels, 1)
    pieces = tf.raw_ops.StringSplitV2(
        input=[encoded], sep=_SCAN, maxsplit=_COUNTED_SCANS
    )
    scans = tf.size(pieces.values, tf.int64) - 1
    checked = tf.debugging.Assert(
        scans <= most,
        ["a JPEG must not have so many scans of so many pixels:", scans, size],
    )
    return [] if checked is None else [checked]


def _is_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    return tf.strings.substr(encoded, 0, 3) == b"\xff\xd8\xff"


def _png_size(encoded: tf.Tensor) -> tf.Tensor:
    width, height = (
        bitmap.integer(encoded, at, tf.int32, little=False) for at in (16, 20)
    )
    return tf.stack([height, width])


def _decode_jpeg_window(encoded: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    """What cutting the decoded image gives, to the bit, without decoding all of it."""
    size = tf.image.extract_jpeg_shape(encoded)[:2]
    # Colours are stored at half the resolution and smoothed over neighbours, which
    # TensorFlow leaves out at a window's edge.
    first = tf.maximum(window[:2] - _COLOUR_REACH, 0)
    end = tf.minimum(window[:2] + window[2:] + _COLOUR_REACH, size)
    wider = tf.concat([first, end - first], 0)
    image = tf.image.decode_and_crop_jpeg(
        encoded, wider, channels=3, dct_method=_ACCURATE
    )
    return _cut(image, tf.concat([window[:2] - first, window[2:]], 0))


def _decode_png(encoded: tf.Tensor) -> tf.Tensor:
    pixels = tf.image.decode_png(encoded, channels=4)
    colour, alpha = pixels[:, :, :3], pixels[:, :, 3:]
    # Where TensorFlow adds opacity to files of 1, 2 or 4 bits, full is 1, 3 or 15.
    # Where the file states it itself, full is 255 as elsewhere.
    bits = bitmap.integer(encoded, 24, tf.uint8)
    full = tf.saturate_cast(tf.bitwise.left_shift(1, bits) - 1, tf.uint8)
    header = tf.strings.split(encoded, "IDAT", maxsplit=1)[0]
    stated = tf.size(tf.strings.split(header, "tRNS", maxsplit=1)) > 1
    alpha = tf.where((alpha == full) & ~stated, tf.constant(255, tf.uint8), alpha)

    def over_white() -> tf.Tensor:
        opacity = tf.cast(alpha, tf.float32) / 255
        mixed = tf.cast(colour, tf.float32) * opacity + 255 * (1 - opacity)
        return tf.cast(tf.round(mixed), tf.uint8)

    opaque = tf.reduce_all(alpha == 255)
    return tf.cond(opaque, lambda: colour, over_white)


def _cut(image: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    top, left, height, width = tf.unstack(window, num=4)
    return image[top : top + height, left : left + width]
