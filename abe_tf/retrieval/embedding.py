"""Runs a network over images."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from abe_tf.data.examples import from_files
from abe_tf.data.pipeline import Loader, evaluation_batches, unreadable_images_named
from abe_tf.data.preprocessing import Preprocessing
from abe_tf.errors import InputError


class Embedder:
    """A network, traced once for batches of any size.

    Args:
      network: uint8 RGB `[batch, height, width, 3]` to learner embeddings.
    """

    def __init__(self, network: tf.keras.Model) -> None:
        (pixels,) = network.inputs
        signature = tf.TensorSpec(pixels.shape, pixels.dtype)
        self._call = tf.function(
            lambda batch: network(batch, training=False), input_signature=[signature]
        )

    def __call__(self, batches: tf.data.Dataset) -> np.ndarray:
        """Embeds batches of uint8 pixels, in order.

        Returns:
          `[images, learners, dim]` float32, unit length.
        """
        return np.concatenate([self._call(batch).numpy() for batch in batches])


def embed_files(
    network: tf.keras.Model,
    preprocessing: Preprocessing,
    paths: list[str],
    batch_size: int,
) -> np.ndarray:
    """Embeds image files; `[len(paths), learners, dim]` float32, unit length.

    Raises:
      InputError: A file is missing or no image; no path was given.
    """
    if not paths:
        raise InputError("There must be an image to embed. Received: no path.")
    loader = Loader(from_files(paths), preprocessing)
    with unreadable_images_named(loader):
        return Embedder(network)(evaluation_batches(loader, batch_size))
