"""From the bytes of an image file to upright RGB pixels, by graph operations alone.

JPEG (grey, RGB, CMYK, YCCK), PNG (all of them), GIF (the first frame) and BMP
(uncompressed): upright, laid over white, 16 bits scaled to 8. What it cannot read it
refuses, by name where the file's first bytes tell one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import tensorflow as tf

from abe_tf.config.data import MAX_PIXELS
from abe_tf.data.pixels import bitmap, gif, kinds, png
from abe_tf.data.pixels.branches import apart, once
from abe_tf.data.pixels.numbers import part
from abe_tf.data.pixels.orientation import (
    exif_orientation,
    has_exif,
    swaps_sides,
    upright,
)

_COLOUR_REACH = 2
# Of a square JPEG file as sets of small images have them, for each of its pixels.
_USUAL_BYTES = 4
# Scans times pixels; so many take a second.
_END = b"\xff\xd9"
# Entropy-coded data that mean something in every file.
_FILLER = b"\x00" + b"\x35\xc9\x6a\x93" * 8
_SCAN, _MOST_SCANNED, _COUNTED_SCANS = b"\xff\xda", 6_000_000_000, 100_000
# TensorFlow's default is off by ten grey levels in finely compressed files.
_ACCURATE = "INTEGER_ACCURATE"

_Decoder = Callable[[tf.Tensor], tf.Tensor]
_T = TypeVar("_T")


class Header(NamedTuple):
    """What is read of a file before it is decoded.

    Attributes:
      size: `[2]` int32, height and width as a viewer shows it.
      orientation: Scalar int32, of a JPEG file; 1 of others, which their decoders turn.
    """

    size: tf.Tensor
    orientation: tf.Tensor


def read_header(encoded: tf.Tensor, max_pixels: int = MAX_PIXELS) -> Header:
    """Reads how large an image is, and which way up, without decoding it.

    Args:
      encoded: Scalar string, the bytes of an image file.
      max_pixels: A larger one is refused.
    """

    def jpeg() -> Header:
        stored = tf.image.extract_jpeg_shape(encoded)[:2]
        with tf.control_dependencies(_check_scans(encoded, stored)):
            orientation = exif_orientation(encoded)
        swapped = swaps_sides(orientation)
        size = tf.cond(swapped, lambda: stored[::-1], lambda: stored)
        return Header(size, orientation)

    def upright_as(size: _Decoder) -> Callable[[tf.Tensor], Header]:
        return lambda file: Header(size(file), tf.constant(1))

    others = map(upright_as, (png.size, gif.size, bitmap.size))
    size, orientation = _by_format(encoded, jpeg, *others)
    pixels = tf.reduce_prod(tf.cast(size, tf.int64))
    tf.debugging.Assert(
        (pixels > 0) & (pixels <= max_pixels),
        [f"an image must have 1 to {max_pixels} pixels; height and width:", size],
    )
    return Header(tf.ensure_shape(size, [2]), orientation)


def decode_window(encoded: tf.Tensor, header: Header, window: tf.Tensor) -> tf.Tensor:
    """Decodes a part of an image.

    Args:
      encoded: Scalar string, the bytes of an image file.
      header: What `read_header` gave of it.
      window: `[4]` int32: top, left, height, width in pixels of the upright image.

    Returns:
      uint8 RGB `[height, width, 3]`. Transparent pixels are laid over white.
    """
    orientation = header.orientation

    def jpeg() -> tf.Tensor:
        file = _with_end(encoded)
        return tf.cond(
            orientation == 1,
            lambda: _decode_jpeg_window(file, header.size, window),
            apart(lambda: cut(upright(decode_plain_jpeg(file), orientation), window)),
        )

    def whole(decode: _Decoder) -> _Decoder:
        return lambda file: cut(decode(file), window)

    image = _by_format(
        encoded, jpeg, whole(png.decode), whole(gif.decode), whole(bitmap.decode)
    )
    return tf.ensure_shape(image, [None, None, 3])


def is_plain_jpeg(encoded: tf.Tensor, sides: tuple[int, int]) -> tf.Tensor:
    """Whether it is a JPEG file of these sides and usual size, upright as stored.

    Args:
      encoded: Scalar string, the bytes of any file.
      sides: Height and width, in pixels.

    Returns:
      Scalar bool.
    """
    # A larger file is of many scans, or has much else in it.
    usual = tf.strings.length(encoded) <= _USUAL_BYTES * sides[0] * sides[1]

    def fits() -> tf.Tensor:
        height, width, _ = tf.unstack(tf.image.extract_jpeg_shape(encoded), num=3)
        is_usual = _ends_well(encoded) & ~has_exif(encoded)
        return (height == sides[0]) & (width == sides[1]) & is_usual

    return tf.cond(_is_jpeg(encoded) & usual, fits, lambda: tf.constant(False))


def decode_plain_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG file as it is stored; uint8 RGB `[height, width, 3]`."""
    return tf.image.decode_jpeg(encoded, channels=3, dct_method=_ACCURATE)


def decode(encoded: tf.Tensor, max_pixels: int = MAX_PIXELS) -> tf.Tensor:
    """Decodes a whole image.

        >>> decode(tf.io.read_file("a.jpg")).shape
        TensorShape([60, 40, 3])

    Args:
      encoded: Scalar string, the bytes of an image file.
      max_pixels: A larger one is refused.

    Returns:
      uint8 RGB `[height, width, 3]`, as `decode_window`.
    """
    header = read_header(encoded, max_pixels)
    return decode_window(encoded, header, tf.concat([[0, 0], header.size], 0))


def cut(image: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    """The part of an image in a window, `[4]` int32: top, left, height, width."""
    top, left, height, width = tf.unstack(window, num=4)
    return image[top : top + height, left : left + width]


def _by_format(
    encoded: tf.Tensor,
    jpeg: Callable[[], _T],
    png: Callable[[tf.Tensor], _T],
    animation: Callable[[tf.Tensor], _T],
    bmp: Callable[[tf.Tensor], _T],
) -> _T:
    def starts_with(magic: bytes) -> tf.Tensor:
        return tf.strings.substr(encoded, 0, len(magic)) == magic

    def bmp_or_nothing() -> _T:
        known = tf.debugging.Assert(
            starts_with(b"BM"),
            [tf.strings.join(["no JPEG, PNG, GIF or BMP file but ", _kind(encoded)])],
        )
        # Before the header is read, which an empty file lacks.
        with tf.control_dependencies([known] if known is not None else []):
            return bmp(encoded)

    def others() -> _T:
        return tf.cond(
            starts_with(b"\x89PNG\r\n\x1a\n"),
            lambda: png(encoded),
            lambda: tf.cond(
                starts_with(b"GIF8"), lambda: animation(encoded), bmp_or_nothing
            ),
        )

    # JPEG first and apart: the others' checks cost it nothing.
    return tf.cond(_is_jpeg(encoded), jpeg, apart(others))


def _scans(encoded: tf.Tensor) -> Any:
    """What is before the first scan, and the scans; the last one with all behind it."""
    # Behind the two bytes stands a scan header's length, below 256.
    return tf.raw_ops.StringSplitV2(
        input=[encoded], sep=_SCAN + b"\0", maxsplit=_COUNTED_SCANS
    )


def _check_scans(encoded: tf.Tensor, size: tf.Tensor) -> list[tf.Operation]:
    """Bounds the work of decoding, which grows with scans times pixels.

    A progressive file goes over all its pixels in each scan, and a scan may be ten
    bytes long. Counted is what scans begin with, wherever it stands: by chance also in
    a film behind the photo, so that the bound is far above what photos need.
    """
    pixels = tf.reduce_prod(tf.cast(size, tf.int64))
    most = _MOST_SCANNED // tf.maximum(pixels, 1)
    scans = tf.size(_scans(encoded).values, tf.int64) - 1
    checked = tf.debugging.Assert(
        scans <= most,
        ["a JPEG must not have so many scans of so many pixels:", scans, size],
    )
    return [] if checked is None else [checked]


def _ends_well(encoded: tf.Tensor) -> tf.Tensor:
    """Whether a file's last bytes are the marker of a JPEG's end; scalar bool."""
    return tf.strings.substr(encoded, -len(_END), len(_END)) == _END


def _with_end(encoded: tf.Tensor) -> tf.Tensor:
    """A JPEG file with the marker of its end, which some programs leave out.

    A file that was cut off has none either. There the decoder makes up what is
    missing, of whatever stands behind; where nothing is missing, it does not care.

    Raises:
      InvalidArgumentError: Something is missing.
    """
    return tf.cond(_ends_well(encoded), lambda: encoded, lambda: _ended(encoded))


@once
def _ended(encoded: tf.Tensor) -> tf.Tensor:
    def mended() -> tf.Tensor:
        ended, filled = (
            tf.strings.join([encoded, between, _END]) for between in (b"", _FILLER)
        )
        nothing_missing = tf.reduce_all(
            decode_plain_jpeg(ended) == decode_plain_jpeg(filled)
        )
        checked = tf.debugging.Assert(nothing_missing, ["a JPEG file that was cut off"])
        with tf.control_dependencies([checked] if checked is not None else []):
            return tf.identity(ended)

    # Some cameras put a film, or another photo, behind the end.
    pieces = _scans(encoded)
    behind = tf.raw_ops.StringSplitV2(input=pieces.values[-1:], sep=_END, maxsplit=1)
    return tf.cond(tf.size(behind.values) > 1, lambda: encoded, mended)


def _is_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    return tf.strings.substr(encoded, 0, 3) == b"\xff\xd8\xff"


def _kind(encoded: tf.Tensor) -> tf.Tensor:
    """What a file is that is not read; scalar string."""
    kind = tf.constant("something else")
    for start, magic, name in kinds.NOT_DECODED:
        here = part(encoded, start, len(magic)) == magic
        kind = tf.where(here, name, kind)
    return tf.where(tf.strings.length(encoded) == 0, "an empty file", kind)


def _decode_jpeg_window(
    encoded: tf.Tensor, size: tf.Tensor, window: tf.Tensor
) -> tf.Tensor:
    """What cutting the decoded image gives, to the bit, without decoding all of it."""
    # Colours are stored at half the resolution and smoothed over neighbours, which
    # TensorFlow leaves out at a window's edge.
    first = tf.maximum(window[:2] - _COLOUR_REACH, 0)
    end = tf.minimum(window[:2] + window[2:] + _COLOUR_REACH, size)
    wider = tf.concat([first, end - first], 0)
    image = tf.image.decode_and_crop_jpeg(
        encoded, wider, channels=3, dct_method=_ACCURATE
    )
    return cut(image, tf.concat([window[:2] - first, window[2:]], 0))
