"""What an index keeps of a file but its pixels; without TensorFlow."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import errno
import hashlib
import io
import math
import os
import stat
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import ExifTags, Image, JpegImagePlugin

_QUALITY = 80
# Thumbnails are made of every n-th pixel, so that this many times theirs are left.
_FINER = 2
# A photo hardly larger than its thumbnail, in pixels a side and in bytes, is its own.
_LARGER, _SMALL = 1.25, 64_000
_Jpeg = JpegImagePlugin.JpegImageFile
# Segments of a JPEG file that tell of its pixels: density, and what its colours are.
_OF_PIXELS = {"APP0", "APP14"}


class BrokenPhotoError(Exception):
    """A file is no photo that can be read; the text says why, within a sentence."""


@dataclasses.dataclass(frozen=True)
class Header:
    """What a photo says of itself.

    Attributes:
      time: When it was taken, seconds since 1970 by the camera's clock; `None` where it
        does not say.
      camera: The camera's name; `None` where it does not say.
      is_bare: Whether it is a JPEG file of pixels and nothing else, upright, in grey or
        RGB: no place, no profile, no comment.
    """

    time: float | None = None
    camera: str | None = None
    is_bare: bool = False


@dataclasses.dataclass(frozen=True)
class Kept:
    """What an index keeps of a photo.

    Attributes:
      thumbnail: A JPEG file; `None` where none was made.
      width: Width of the upright image, in pixels.
      height: Height of the upright image, in pixels.
      header: What it says of itself.
    """

    thumbnail: bytes | None
    width: int | None
    height: int | None
    header: Header


def content_of(path: str) -> bytes:
    """The bytes of a file.

    Raises:
      BrokenPhotoError: It cannot be read.
    """
    try:
        # A pipe would wait for ever.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError(errno.EINVAL, "no regular file")
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise BrokenPhotoError(f"cannot be read: {error.strerror}") from error


def digest_of(content: bytes) -> bytes:
    """What tells a content from all others, 32 bytes."""
    return hashlib.sha256(content).digest()


def is_thumbnail(content: bytes, width: int, height: int, size: int) -> bool:
    """Whether a bare JPEG file may be its own thumbnail of a size, in pixels."""
    return len(content) <= _SMALL and max(width, height) <= _LARGER * size


def thumbnail(image: np.ndarray, size: int) -> bytes:
    """A JPEG file.

    Args:
      image: uint8 RGB `[height, width, 3]`.
      size: Length of its longer side, in pixels, unless the image is smaller.
    """
    # Pillow copies what it gets, and averages all of it: dear for a camera's photo.
    every = max(1, max(image.shape[:2]) // (_FINER * size))
    pixels: np.ndarray = np.ndarray(image.shape[:2], "V3", np.ascontiguousarray(image))
    # As wholes: one by one their three bytes take three times as long to copy.
    some = pixels[::every, ::every].copy()
    small = Image.fromarray(np.ndarray((*some.shape, 3), np.uint8, some))
    small.thumbnail((size, size), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def header(content: bytes) -> Header:
    """What a photo says of itself; nothing where that cannot be read."""
    # Whatever strangers have written there, it is no reason to leave out the photo.
    with contextlib.suppress(Exception), Image.open(io.BytesIO(content)) as image:
        if isinstance(image, _Jpeg) and image.format == "JPEG":
            # Of an MPO file, a JPEG of several pictures, Pillow says another format.
            segments = {name for name, _ in image.applist}
            if segments <= _OF_PIXELS:
                return Header(is_bare=image.mode in ("L", "RGB"))
        exif = image.getexif()
        detail = exif.get_ifd(ExifTags.IFD.Exif)
        names = [exif.get(tag) for tag in (ExifTags.Base.Make, ExifTags.Base.Model)]
        time = detail.get(ExifTags.Base.DateTimeOriginal) or exif.get(
            ExifTags.Base.DateTime
        )
        return Header(_quietly(_seconds, time), _quietly(_camera, names))
    return Header()


def _quietly(read: Callable[[Any], Any], value: Any) -> Any:
    with contextlib.suppress(Exception):
        return read(value)
    return None


def _seconds(text: str) -> float | None:
    text = text.strip("\0 ")[:19]
    moment = datetime.datetime.strptime(text, "%Y:%m:%d %H:%M:%S").timestamp()
    return moment if math.isfinite(moment) else None


def _camera(names: list[str | None]) -> str | None:
    make, model = (str(name or "").strip("\0 ") for name in names)
    # Most models begin with their maker's name.
    full = model if model.startswith(make) else f"{make} {model}"
    return " ".join(full.encode("utf-8", "replace").decode().split())[:100] or None
