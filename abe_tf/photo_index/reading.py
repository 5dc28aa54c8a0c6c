"""From a file to what an index keeps of it: one reading, one decoding."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from abe_tf.config.data import MAX_PIXELS
from abe_tf.config.sizes import sides
from abe_tf.data.pixels.conversion import ConversionError, readable
from abe_tf.data.pixels.decoding import decode
from abe_tf.data.pixels.preprocessing import Preprocessing
from abe_tf.data.unreadable import BROKEN_IMAGE, reason_of
from abe_tf.photo_index.contents import (
    BrokenPhotoError,
    Kept,
    header,
    is_thumbnail,
    thumbnail,
)

Box = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class Photo(Kept):
    """A photo that was read.

    Attributes:
      square: uint8 RGB `[height, width, 3]`, what the network sees.
    """

    square: tf.Tensor


@functools.cache
def reader(preprocessing: Preprocessing, thumbnail_size: int = 320) -> PhotoReader:
    """A reader; the same for the same, since tracing one takes a second.

    Args:
      preprocessing: Preprocessing of the network.
      thumbnail_size: Longer side of thumbnails, in pixels.
    """
    return PhotoReader(preprocessing, thumbnail_size)


class PhotoReader:
    """Reads photos for a network; several threads may.

    Args:
      preprocessing: The network's.
      thumbnail_size: Longer side of thumbnails, in pixels.

    Attributes:
      sides: Height and width of what the network sees, in pixels.
    """

    def __init__(self, preprocessing: Preprocessing, thumbnail_size: int) -> None:
        self.sides = sides(preprocessing.image_size)
        self._max_pixels = preprocessing.max_pixels
        self._thumbnail_size = thumbnail_size
        of_bytes = tf.TensorSpec([], tf.string)
        of_pixels = tf.TensorSpec([None, None, 3], tf.uint8)

        def pixels(file: tf.Tensor) -> tf.Tensor:
            return decode(file, preprocessing.max_pixels)

        def both(file: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            image = pixels(file)
            return image, preprocessing.of_whole(image)

        # `both` in one call: for small photos calls take as long as what they do.
        self._decode, self._both = (
            tf.function(one, [of_bytes], autograph=False).get_concrete_function()
            for one in (pixels, both)
        )
        self._shown = tf.function(
            preprocessing.shown,
            [tf.TensorSpec([2], tf.int32), tf.TensorSpec([4], tf.float32)],
            autograph=False,
        )
        self._part = tf.function(
            preprocessing.of_whole,
            [of_pixels, tf.TensorSpec([4], tf.float32)],
            autograph=False,
        )

    def photo(self, content: bytes, with_thumbnail: bool = True) -> Photo:
        """Reads a photo.

        Args:
          content: The bytes of its file.
          with_thumbnail: Whether its thumbnail is made.

        Raises:
          BrokenPhotoError: It is none that can be read.
        """
        pixels, square = self._decoded(self._both, content)
        # Not .numpy(), which copies all of it.
        image = np.asarray(pixels)
        height, width, _ = image.shape
        said, size = header(content), self._thumbnail_size
        if not with_thumbnail:
            return Photo(None, width, height, said, square)
        as_it_is = said.is_bare and is_thumbnail(content, width, height, size)
        small = content if as_it_is else thumbnail(image, size)
        return Photo(small, width, height, said, square)

    def square(self, content: bytes, box: Box | None = None) -> tf.Tensor:
        """What the network sees of a photo, or of a box in it.

        Args:
          content: The bytes of its file.
          box: Left, top, right, bottom in pixels of the upright image.

        Returns:
          uint8 RGB `[height, width, 3]`.

        Raises:
          BrokenPhotoError: It is none that can be read, or the box lies outside of it.
        """
        if box is None:
            return self._decoded(self._both, content)[1]
        pixels = self._pixels(content)
        part = _part_of(pixels, box)
        with tf.device("CPU"):
            return self._part(pixels, part)

    def view(
        self, content: bytes, box: Box | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """What the network sees of a photo, or of a box in it, and where it does.

        Args:
          content: The bytes of its file.
          box: Left, top, right, bottom in pixels of the upright image.

        Returns:
          uint8 RGB `[height, width, 3]`, and float32 `[height, width]`: 1 where that
          shows the photo, 0 where it is filled up.

        Raises:
          BrokenPhotoError: It is none that can be read, or the box lies outside of it.
        """
        pixels = self._pixels(content)
        height, width, _ = pixels.shape
        part = _part_of(pixels, box or (0, 0, width, height))
        with tf.device("CPU"):
            shown = self._shown(tf.constant([height, width]), part)
            return self._part(pixels, part), shown

    def size(self, content: bytes) -> tuple[int, int]:
        """Width and height of a photo, which is decoded, in upright pixels.

        Raises:
          BrokenPhotoError: It is none that can be read.
        """
        height, width, _ = self._pixels(content).shape
        return width, height

    def thumbnail(self, content: bytes, size: int | None = None) -> bytes:
        """A JPEG file of a photo, its longer side of this many pixels at most.

        Raises:
          BrokenPhotoError: It is none that can be read.
        """
        size = self._thumbnail_size if size is None else size
        return thumbnail(np.asarray(self._pixels(content)), size)

    def _pixels(self, content: bytes) -> tf.Tensor:
        return self._decoded(self._decode, content)

    def _decoded(self, function: Callable, content: bytes) -> Any:
        return _decoded(function, content, self._max_pixels)


def pixels_of(content: bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The pixels of a photo, upright, uint8 RGB `[height, width, 3]`.

    Args:
      content: Bytes of the file.
      max_pixels: A larger one is none that can be read.

    Raises:
      BrokenPhotoError: It is none that can be read.
    """

    def decoded(file: tf.Tensor) -> tf.Tensor:
        return decode(file, max_pixels)

    return np.asarray(_decoded(decoded, content, max_pixels))


def _decoded(function: Callable, content: bytes, max_pixels: int) -> Any:
    try:
        # As in a pipeline: a large photo has no place on a GPU.
        with tf.device("CPU"):
            return function(tf.constant(readable(content, max_pixels)))
    except ConversionError as error:
        raise BrokenPhotoError(f"{error}") from error
    except BROKEN_IMAGE as error:
        raise BrokenPhotoError(reason_of(error)) from error


def _part_of(pixels: tf.Tensor, box: Box) -> tf.Tensor:
    """A box as preprocessing takes it, where it begins within the image."""
    height, width, _ = pixels.shape
    if box[0] >= width or box[1] >= height:
        raise BrokenPhotoError(
            f"a box must begin within the image; it is {width} pixels wide and "
            f"{height} high, and the box {','.join(f'{x:g}' for x in box)}"
        )
    with tf.device("CPU"):
        return tf.constant(box, tf.float32)
