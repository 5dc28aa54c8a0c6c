"""From the bytes of an image file to the pixels that the network sees.

The paper's way: the longer side is scaled to 256, the rest padded, and 224 x 224 are
cut out, at random in training and from the centre in test. All of it is graph
operations, so that training, evaluation and an exported model share it. Scaling,
padding and cropping are one resampling, and only what it needs of a file is decoded.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import tensorflow as tf

from abe_tf.config.data import MAX_PIXELS, DataConfig
from abe_tf.config.sizes import ImageSize, sides
from abe_tf.data.pixels import resampling
from abe_tf.data.pixels.branches import apart
from abe_tf.data.pixels.decoding import (
    cut,
    decode_plain_jpeg,
    decode_window,
    is_plain_jpeg,
    read_header,
)
from abe_tf.data.pixels.resampling import Window

# Of a random resized crop: share of the image's area, and width by height.
_AREA, _ASPECT = (0.2, 1.0), (3 / 4, 4 / 3)
# Seeds of runs are below this: beyond it keys are free for other draws.
_SEED_RANGE = 2**31

# Of one image, or with a leading dimension of several: "corner" `[2]` int32, of the
# crop in the scaled image; "mirrored" bool; "seed" `[2]` int64, for further draws.
Augmentation = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Scaling and cropping.

    Attributes:
      image_size: What comes out, in pixels: the side of a square, or height and width.
      scaled_size: What an image is scaled into, at least `image_size`.
      random_flip: Whether training mirrors images from left to right at random.
      stretch: Whether both sides are scaled to fill that, and none is padded.
      random_resized_crop: Whether training cuts out a part of random area and aspect,
        and stretches it to what comes out.
      color_jitter: How far training changes brightness, contrast and saturation, as a
        share; 0 for not at all.
      max_pixels: A larger image is refused before it is decoded.
    """

    image_size: ImageSize
    scaled_size: ImageSize
    random_flip: bool
    stretch: bool = False
    random_resized_crop: bool = False
    color_jitter: float = 0.0
    max_pixels: int = MAX_PIXELS

    @classmethod
    def of(cls, data: DataConfig) -> Preprocessing:
        """What the data flags ask for."""
        return cls(
            data.image_size,
            data.scaled_size,
            data.random_flip,
            data.stretch,
            data.random_resized_crop,
            data.color_jitter,
            data.max_pixels,
        )

    def sample(self, seed: int, number: tf.Tensor, size: int) -> Augmentation:
        """Draws what training leaves to chance, for all images of a batch at once.

        Args:
          seed: Seed of the run.
          number: Scalar int64, of the batch. Equal seeds and numbers give equal draws.
          size: Images in the batch.

        Returns:
          Of each image; all with a leading dimension of `size`.
        """
        room = [margin + 1 for margin in self._margins()]
        key = tf.stack([tf.constant(seed, tf.int64), number])
        shift = tf.constant([_SEED_RANGE, 0], tf.int64)
        chance = tf.random.stateless_uniform([size], key + shift)
        # One key an image for what is drawn later, apart from the two for the batch.
        rest = tf.stack(
            [tf.fill([size], key[0]), size * number + tf.range(size, dtype=tf.int64)], 1
        )
        return {
            "corner": _corners(size, key, room, key + 3 * shift),
            "mirrored": (chance < 0.5) & self.random_flip,
            "seed": rest + 2 * shift,
        }

    def for_training(
        self,
        encoded: tf.Tensor,
        augmentation: Augmentation,
        box: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """A random crop, mirrored or not.

        Args:
          encoded: Scalar string, the bytes of an image file.
          augmentation: What `sample` gave for the image.
          box: `[4]` float32, left, top, right, bottom in pixels of the upright image:
            the part that is used. The whole where `None`.

        Returns:
          uint8 RGB `[height, width, 3]`.
        """
        if self.random_resized_crop:
            window_of, region = self._opened(encoded, box)
            image = self._resized_crop(window_of, region, augmentation["seed"])
            image = _mirror(image, augmentation["mirrored"])
        else:
            image = self._crop(
                encoded, box, augmentation["corner"], augmentation["mirrored"]
            )
        return self._jitter(image, augmentation["seed"])

    def scaled(self, encoded: tf.Tensor, box: tf.Tensor | None = None) -> tf.Tensor:
        """The whole image, scaled and padded, of which crops are cut.

        Args:
          encoded: Scalar string, the bytes of an image file.
          box: Part of the image, as for training.

        Returns:
          uint8 RGB, of `scaled_size`.
        """
        whole = dataclasses.replace(self, image_size=self.scaled_size)
        return whole.for_evaluation(encoded, box)

    def crop_for_training(
        self, scaled: tf.Tensor, augmentation: Augmentation
    ) -> tf.Tensor:
        """What `for_training` gives, from what `scaled` gave.

        To one grey level: the resampling of a part rounds otherwise than the whole's.
        """
        image = _mirror(
            self._cut(scaled, augmentation["corner"]), augmentation["mirrored"]
        )
        return self._jitter(image, augmentation["seed"])

    def crop_for_evaluation(self, scaled: tf.Tensor) -> tf.Tensor:
        """What `for_evaluation` gives, from what `scaled` gave, to one grey level."""
        return self._cut(scaled, self._central_corner())

    def for_evaluation(
        self, encoded: tf.Tensor, box: tf.Tensor | None = None
    ) -> tf.Tensor:
        """The centre.

        Args:
          encoded: Scalar string, the bytes of an image file.
          box: Part of the image, as for training.

        Returns:
          uint8 RGB `[height, width, 3]`.
        """
        return self._crop(encoded, box, self._central_corner(), tf.constant(False))

    def of_whole(self, image: tf.Tensor, box: tf.Tensor | None = None) -> tf.Tensor:
        """What `for_evaluation` gives of a file, from all its pixels, to the bit.

        Args:
          image: What `decoding.decode` gave, uint8 RGB `[height, width, 3]`.
          box: Part of the image, as for training.

        Returns:
          uint8 RGB `[height, width, 3]`.
        """
        region = _region(tf.shape(image)[:2], box)
        window_of = functools.partial(cut, image)
        return self._resample(window_of, region, self._central_corner())

    def shown(self, size: tf.Tensor, box: tf.Tensor | None = None) -> tf.Tensor:
        """Where the square of an image shows the image, and is not filled up.

        Args:
          size: `[2]` int32, height and width of the image.
          box: Part of the image, as for training.

        Returns:
          float32 `[height, width]` from 0 to 1.
        """
        white = tf.fill(tf.concat([size, [3]], 0), tf.constant(255, tf.uint8))
        return tf.cast(self.of_whole(white, box)[..., 0], tf.float32) / 255

    def _central_corner(self) -> tf.Tensor:
        return tf.constant([margin // 2 for margin in self._margins()])

    def _margins(self) -> list[int]:
        """What is cut off, from top to bottom and from left to right together."""
        scaled, cut_out = sides(self.scaled_size), sides(self.image_size)
        return [whole - part for whole, part in zip(scaled, cut_out, strict=True)]

    def _crop(
        self,
        encoded: tf.Tensor,
        box: tf.Tensor | None,
        corner: tf.Tensor,
        mirrored: tf.Tensor,
    ) -> tf.Tensor:
        """Scales and pads an image, and cuts what comes out at a corner."""

        def any_image() -> tf.Tensor:
            window_of, region = self._opened(encoded, box)
            return _mirror(self._resample(window_of, region, corner), mirrored)

        scaled_sides = sides(self.scaled_size)
        if box is not None or math.prod(scaled_sides) > self.max_pixels:
            return any_image()

        def plain_jpeg() -> tf.Tensor:
            return _mirror(self._cut(decode_plain_jpeg(encoded), corner), mirrored)

        # JPEG files that are stored at the right size come often, and decode so fast
        # that each operation around it counts.
        is_plain = is_plain_jpeg(encoded, scaled_sides)
        return tf.cond(is_plain, plain_jpeg, apart(any_image))

    def _cut(self, scaled: tf.Tensor, corner: tf.Tensor) -> tf.Tensor:
        size = [*sides(self.image_size), 3]
        return tf.slice(scaled, tf.concat([corner, [0]], 0), size)

    def _jitter(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if not self.color_jitter:
            return image
        low, high = 1 - self.color_jitter, 1 + self.color_jitter
        pixels = tf.cast(image, tf.float32)
        brightness = tf.random.stateless_uniform([], seed + 1, low, high)
        pixels = tf.clip_by_value(pixels * brightness, 0, 255)
        pixels = tf.image.stateless_random_contrast(pixels, low, high, seed + 2)
        pixels = tf.clip_by_value(pixels, 0, 255) / 255
        pixels = tf.image.stateless_random_saturation(pixels, low, high, seed + 3)
        return tf.saturate_cast(tf.round(255 * pixels), tf.uint8)

    def _resample(
        self, window_of: Window, region: tf.Tensor, corner: tf.Tensor
    ) -> tf.Tensor:
        """Scales and pads a region of an image, and cuts what comes out at a corner."""
        size = tf.constant(sides(self.scaled_size))
        given = tf.cast(region[2:], tf.float32)
        if self.stretch:
            scaled = size
        else:
            factor = tf.reduce_min(tf.cast(size, tf.float32) / given)
            rounded = tf.round(given * factor)
            scaled = tf.clip_by_value(tf.cast(rounded, tf.int32), 1, size)
        padding = (size - scaled) // 2
        return resampling.render(
            window_of, region, scaled, padding - corner, sides(self.image_size)
        )

    def _resized_crop(
        self, window_of: Window, region: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        height, width = sides(self.image_size)
        begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
            tf.concat([region[2:], [3]], 0),
            tf.zeros([1, 0, 4]),
            seed,
            aspect_ratio_range=tuple(one * width / height for one in _ASPECT),
            area_range=_AREA,
            use_image_if_no_bounding_boxes=True,
        )
        part = tf.concat([region[:2] + begin[:2], extent[:2]], 0)
        whole, corner = tf.constant([height, width]), tf.constant([0, 0])
        return resampling.render(window_of, part, whole, corner, (height, width))

    def _opened(
        self, encoded: tf.Tensor, box: tf.Tensor | None
    ) -> tuple[Window, tf.Tensor]:
        """A file whose header was read: its windows, and the region that is used."""
        header = read_header(encoded, self.max_pixels)
        window_of = functools.partial(decode_window, encoded, header)
        return window_of, _region(header.size, box)


def _corners(
    size: int, key: tf.Tensor, room: list[int], other_key: tf.Tensor
) -> tf.Tensor:
    """Where crops begin, `[size, 2]` int32 below `room`."""
    if room[0] == room[1]:
        return tf.random.stateless_uniform(
            [size, 2], key, maxval=room[0], dtype=tf.int32
        )
    each = zip((key, other_key), room, strict=True)
    return tf.stack(
        [
            tf.random.stateless_uniform([size], one, maxval=most, dtype=tf.int32)
            for one, most in each
        ],
        1,
    )


def _region(size: tf.Tensor, box: tf.Tensor | None) -> tf.Tensor:
    """`[4]` int32, top, left, height, width: whole pixels that a box touches."""
    if box is None:
        return tf.concat([[0, 0], size], 0)
    left, top, right, bottom = tf.unstack(box, num=4)
    first = tf.cast(tf.floor([top, left]), tf.int32)
    last = tf.cast(tf.math.ceil([bottom, right]), tf.int32)
    first = tf.clip_by_value(first, 0, size - 1)
    last = tf.clip_by_value(last, first + 1, size)
    return tf.concat([first, last - first], 0)


def _mirror(image: tf.Tensor, mirrored: tf.Tensor) -> tf.Tensor:
    return tf.cond(mirrored, lambda: tf.reverse(image, [1]), lambda: image)
