"""Photos that the network's graph does not decode, made PNG files by Pillow.

WebP, TIFF, AVIF and old BMP files, and HEIC files where the plugin is installed. What
comes out is what a viewer shows: upright, laid over white, 8 bits a channel, and no
pixel changed otherwise. Without TensorFlow.
"""

from __future__ import annotations

import io
import threading
import warnings
from typing import Any

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin

from abe_tf.data.pixels import kinds
from abe_tf.errors import InputError

HEIC_PLUGIN = "pip install --require-hashes -r requirements-heic.txt"
# Of what `as_png` does; another number makes old results useless.
RULE = 1
# What it says of EXIF data that are damaged is nothing that anybody can do about.
warnings.filterwarnings("ignore", module=r"PIL\.", category=UserWarning)
_WIDE = ("I;16", "I;16B", "I;16L", "I;16N")
_UNRANGED = ("F", "I")
# Tags of TIFF.
_SUBFILE_TYPE, _BITS, _PHOTOMETRIC, _MAKE = 254, 258, 262, 271
_SUB_IMAGES, _DNG, _WHITE_IS_ZERO = 330, 50706, 0
# Around what is Pillow's for the whole process.
_OPENING = threading.Lock()


class _WithoutBound:
    """Has Pillow open images of any size, as long as a thread is in it."""

    def __init__(self) -> None:
        self._inside, self._theirs = 0, Image.MAX_IMAGE_PIXELS

    def __enter__(self) -> None:
        with _OPENING:
            if not self._inside:
                self._theirs, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with _OPENING:
            self._inside -= 1
            if not self._inside:
                Image.MAX_IMAGE_PIXELS = self._theirs


_WITHOUT_BOUND = _WithoutBound()


class ConversionError(InputError):
    """An image cannot be converted; the text says why, for use within a sentence."""


def as_png(encoded: bytes, max_pixels: int) -> bytes:
    """Converts an image file.

    Args:
      encoded: The file, of one of `kinds.CONVERTED`.
      max_pixels: A larger image is refused before it is decoded.

    Returns:
      A PNG file of its first picture.

    Raises:
      ConversionError: It is broken, too large, or its plugin is missing.
    """
    kind = kinds.kind_of(encoded[:64])
    if kind == "HEIC":
        _register_heic()
    try:
        # Its own bound is another; ours is asked before anything is decoded.
        with _WITHOUT_BOUND:
            image = _upright_rgb(encoded, max_pixels)
    except (ConversionError, MemoryError):
        raise
    except Exception as error:
        # Files of strangers: each of the libraries behind Pillow has its own way of
        # saying that it cannot read one.
        reason = " ".join(str(error).split()) or type(error).__name__
        reason = reason.replace("<_io.BytesIO object", "<object")
        raise ConversionError(f"a {kind} file that is broken: {reason}") from error
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def readable(encoded: bytes, max_pixels: int) -> bytes:
    """An image file as it is where the graph decodes it, else converted.

    Raises:
      ConversionError: It must be converted, and cannot be.
    """
    if kinds.kind_of(encoded[:64]) in kinds.CONVERTED:
        return as_png(encoded, max_pixels)
    return encoded


def _upright_rgb(encoded: bytes, max_pixels: int) -> Image.Image:
    image: Image.Image = Image.open(io.BytesIO(encoded))
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _refuse_raw(image, encoded)
    width, height = image.size
    if width * height > max_pixels:
        raise ConversionError(
            f"an image must have at most {max_pixels} pixels; height and width: "
            f"{height} {width}"
        )
    tags = dict(getattr(image, "tag_v2", {}))
    image.load()
    image = _upright(image)
    if image.mode in _WIDE:
        return _eight_bits(image, tags)
    if image.mode in _UNRANGED:
        raise ConversionError(
            f"an image of 32 bits a channel (mode {image.mode}), whose range nothing "
            "tells"
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image)
        image = white
    return image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """As a viewer turns it; as it lies where its EXIF data are damaged."""
    try:
        return ImageOps.exif_transpose(image)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  (struct, zlib, ValueError: as a file would have it)
        return image


def _eight_bits(image: Image.Image, tags: dict[int, Any]) -> Image.Image:
    """Grey values of more than 8 bits, over the range that the file states."""
    (bits, *_) = tags.get(_BITS, (16,))
    shares = np.asarray(image).astype(np.float32) / (2**bits - 1)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        shares = 1 - shares
    values = np.clip(np.round(255 * shares), 0, 255).astype(np.uint8)
    return Image.fromarray(values).convert("RGB")


def _refuse_raw(image: TiffImagePlugin.TiffImageFile, encoded: bytes) -> None:
    """Cameras keep what their sensors saw in TIFF files, with a small picture first."""
    tags = image.tag_v2
    is_reduced = tags.get(_SUBFILE_TYPE, 0) & 1
    by_camera = _MAKE in tags and _SUB_IMAGES in tags
    if is_reduced or by_camera or _DNG in tags or encoded[8:10] == b"CR":
        raise ConversionError("a raw file of a camera; develop it, and give the photo")


def _register_heic() -> None:
    """Lets Pillow read HEIC files.

    Raises:
      ConversionError: The plugin is not installed.
    """
    try:
        import pillow_heif
    except ImportError as error:
        raise ConversionError(
            f"a HEIC file, which needs a plugin: {HEIC_PLUGIN}"
        ) from error
    with _OPENING:
        pillow_heif.register_heif_opener()
