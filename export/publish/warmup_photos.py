"""The images of warmup records: real ones, without what a camera wrote into them."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from abe_tf.data.pixels.decoding import decode_window, read_header
from export.publish.photos import ReferencePhotos

_QUALITY = 95
# No JPEG file has a longer side.
_LONGEST = 65_500


def of(photos: ReferencePhotos, kind: str, max_pixels: int) -> list[bytes]:
    """JPEG files of the photos' sizes.

    Args:
      photos: Real images.
      kind: "photos" for the same pixels, upright and without metadata; "noise" for
        pixels that show nothing.
      max_pixels: Pixels of a photo at most.
    """
    rng = np.random.default_rng(0)
    fitting = []
    for encoded in map(tf.constant, photos.encoded):
        header = read_header(encoded, max_pixels)
        window = tf.concat([[0, 0], tf.minimum(header.size, _LONGEST)], 0)
        pixels = decode_window(encoded, header, window).numpy()
        if kind == "noise":
            pixels = rng.integers(0, 256, pixels.shape, np.uint8)
        fitting.append(tf.io.encode_jpeg(pixels, quality=_QUALITY).numpy())
    return fitting
