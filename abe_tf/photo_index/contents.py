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
from PIL import ExifTags, Image

_QUALITY = 80
# Thumbnails are made of every n-th pixel, so that this many times theirs are left.
_FINER = 2


class BrokenPhotoError(Exception):
    """A file is no photo that can be read; the text says why, within a sentence."""


@dataclasses.dataclass(frozen=True)
class Taken:
    """What a camera wrote into a photo.

    Attributes:
      time: Seconds since 1970 by the camera's clock; `None` where it has none.
      camera: Its name; `None` where it has none.
    """

    time: float | None
    camera: str | None


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


def thumbnail(image: np.ndarray, size: int) -> bytes:
    """A JPEG file.

    Args:
      image: uint8 RGB `[height, width, 3]`.
      size: Of its longer side, in pixels, unless the image is smaller.
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


def taken(content: bytes) -> Taken:
    """What a camera wrote into a photo; nothing where that cannot be read."""
    # Whatever strangers have written there, it is no reason to leave out the photo.
    with contextlib.suppress(Exception), Image.open(io.BytesIO(content)) as image:
        exif = image.getexif()
        detail = exif.get_ifd(ExifTags.IFD.Exif)
        names = [exif.get(tag) for tag in (ExifTags.Base.Make, ExifTags.Base.Model)]
        time = detail.get(ExifTags.Base.DateTimeOriginal) or exif.get(
            ExifTags.Base.DateTime
        )
        return Taken(_quietly(_seconds, time), _quietly(_camera, names))
    return Taken(None, None)


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
