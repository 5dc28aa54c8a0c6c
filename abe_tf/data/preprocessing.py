"""From the bytes of an image file to the square of pixels that the network sees.

The paper's way: the longer side is scaled to 256, the rest padded, and 224 x 224 are
cut out, at random in training and from the centre in test. All of it is graph
operations, so that training, evaluation and an exported model share it.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Scaling and cropping.

    Attributes:
      image_size: Side of the square that comes out, in pixels.
      scaled_size: Length that the longer side is scaled to, at least `image_size`.
      random_flip: Whether training mirrors images from left to right at random.
    """

    image_size: int
    scaled_size: int
    random_flip: bool

    def for_training(self, encoded: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """A random crop, mirrored or not.

        Args:
          encoded: Scalar string, the bytes of an image file.
          seed: `[2]` int64. Equal seeds give equal crops.

        Returns:
          uint8 RGB `[image_size, image_size, 3]`.
        """
        image = self._scale(decode(encoded))
        size = [self.image_size, self.image_size, 3]
        image = tf.image.stateless_random_crop(image, size, seed)
        if self.random_flip:
            image = tf.image.stateless_random_flip_left_right(image, seed + 1)
        return image

    def for_evaluation(self, encoded: tf.Tensor) -> tf.Tensor:
        """The centre.

        Args:
          encoded: Scalar string, the bytes of an image file.

        Returns:
          uint8 RGB `[image_size, image_size, 3]`.
        """
        image = self._scale(decode(encoded))
        margin = (self.scaled_size - self.image_size) // 2
        image = image[
            margin : margin + self.image_size, margin : margin + self.image_size
        ]
        return tf.ensure_shape(image, [self.image_size, self.image_size, 3])

    def _scale(self, image: tf.Tensor) -> tf.Tensor:
        """Scales the longer side and pads the shorter one on both ends with black."""
        size = self.scaled_size
        height_width = tf.cast(tf.shape(image)[:2], tf.float32)
        scaled = tf.round(height_width * (size / tf.reduce_max(height_width)))
        scaled = tf.clip_by_value(tf.cast(scaled, tf.int32), 1, size)
        image = tf.image.resize(image, scaled, antialias=True)
        image = tf.saturate_cast(tf.round(image), tf.uint8)
        before = (size - scaled) // 2
        return tf.image.pad_to_bounding_box(image, before[0], before[1], size, size)


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes the bytes of a JPEG or PNG file.

    Args:
      encoded: Scalar string.

    Returns:
      uint8 RGB `[height, width, 3]`; grey becomes RGB, an alpha channel is left out.
    """
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image
