"""Runs a network over images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from abe_tf.data.examples import from_files
from abe_tf.data.pipeline import Loader, Share, evaluation_batches
from abe_tf.data.pixels.preprocessing import Preprocessing
from abe_tf.data.unreadable import UnreadableImageError, unreadable_images_named
from abe_tf.errors import InputError


class Interrupted(Exception):  # noqa: N818  (no error)
    """Embedding was broken off because the caller wanted it."""


class Embedder:
    """A network, traced once for batches of any size.

    The replicas of the strategy that the network was built in share the images; where
    those are of several processes, all must call it, and all get all embeddings.

    Args:
      network: uint8 RGB `[batch, height, width, 3]` to learner embeddings.
    """

    def __init__(self, network: tf.keras.Model) -> None:
        (pixels,) = network.inputs
        signature = tf.TensorSpec(pixels.shape, pixels.dtype)
        self._strategy = network.distribute_strategy

        def call(batch: tf.Tensor) -> tf.Tensor:
            return network(batch, training=False)

        self._call = tf.function(call, input_signature=[signature])
        self._call_replicas = tf.function(
            lambda batch: self._strategy.run(call, args=(batch,))
        )

    def __call__(
        self,
        loader: Loader,
        batch_size: int,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> np.ndarray:
        """Embeds all images of a loader, in order.

        Args:
          loader: Gives the images.
          batch_size: Images that a replica embeds at once.
          interrupted: Asked before each batch.

        Returns:
          `[images, learners, dim]` float32, unit length.

        Raises:
          InputError: An image cannot be read.
          Interrupted: `interrupted` became true.
        """
        found: list[np.ndarray] = []
        whole = batch_size * self._strategy.num_replicas_in_sync

        def left() -> range:
            return range(whole * len(found), len(loader.examples))

        with unreadable_images_named(loader, left):
            batches = self._strategy.distribute_datasets_from_function(
                lambda context: evaluation_batches(
                    loader, batch_size, Share.of(context)
                )
            )
            for batch in batches:
                if interrupted():
                    raise Interrupted
                found.append(self._embed(batch))
        return np.concatenate(found)[: len(loader.examples)]

    def _embed(self, batch: tf.Tensor) -> np.ndarray:
        if self._strategy.num_replicas_in_sync == 1:
            return self._call(batch).numpy()
        parts = self._call_replicas(batch)
        local = self._strategy.experimental_local_results(parts)
        if len(local) == self._strategy.num_replicas_in_sync:
            return np.concatenate(local)
        return self._strategy.gather(parts, axis=0).numpy()


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
    try:
        return Embedder(network)(Loader(from_files(paths), preprocessing), batch_size)
    except UnreadableImageError as error:
        raise UnreadableImageError(error.bad, "leave it out of the paths") from None
