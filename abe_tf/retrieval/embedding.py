"""Runs a network over images."""

from __future__ import annotations

import concurrent.futures
import errno
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from abe_tf.data.pipeline import Loader, Share, evaluation_batches
from abe_tf.data.pixels.conversion import ConversionError, readable
from abe_tf.data.pixels.decoding import decode
from abe_tf.data.pixels.preprocessing import Preprocessing
from abe_tf.data.unreadable import (
    BROKEN_IMAGE,
    Unreadable,
    UnreadableImageError,
    reason_of,
    unreadable_images_named,
)
from abe_tf.errors import InputError
from abe_tf.retrieval.explanation import Places, places_of


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

        self._call = tf.function(call, [signature], autograph=False)
        self._call_replicas = tf.function(
            lambda batch: self._strategy.run(call, args=(batch,)), autograph=False
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
          `[images, learners, dim]` float32.

        Raises:
          InputError: An image cannot be read.
          Interrupted: `interrupted` became true.
        """
        embeddings: list[np.ndarray] = []
        whole = batch_size * self._strategy.num_replicas_in_sync

        def left() -> range:
            return range(whole * len(embeddings), len(loader.examples))

        with unreadable_images_named(loader, left):
            batches = self._strategy.distribute_datasets_from_function(
                lambda context: evaluation_batches(
                    loader, batch_size, Share.of(context)
                )
            )
            for batch in batches:
                if interrupted():
                    raise Interrupted
                embeddings.append(self._embed(batch))
        return np.concatenate(embeddings)[: len(loader.examples)]

    def _embed(self, batch: tf.Tensor) -> np.ndarray:
        if self._strategy.num_replicas_in_sync == 1:
            return self._call(batch).numpy()
        parts = self._call_replicas(batch)
        local = self._strategy.experimental_local_results(parts)
        if len(local) == self._strategy.num_replicas_in_sync:
            return np.concatenate(local)
        return self._strategy.gather(parts, axis=0).numpy()


class _Files:
    """Reads files; decoding is traced once.

    Args:
      of_bytes: From the bytes of an image file to what is wanted of it.
      max_pixels: Larger images are refused.
    """

    def __init__(self, of_bytes: Callable, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._of_bytes = tf.function(
            of_bytes, [tf.TensorSpec([], tf.string)], autograph=False
        )

    def __call__(self, position: int, path: str) -> Any:
        """Reads a file.

        Args:
          position: Its place among those that are read, for the message.
          path: The file.

        Raises:
          InputError: It is missing or no image.
        """
        try:
            # A pipe would wait for ever.
            if os.path.exists(path) and not os.path.isfile(path):
                raise OSError(errno.EINVAL, "no regular file")
            with open(path, "rb") as file:
                encoded = readable(file.read(), self._max_pixels)
            # As in a pipeline: a large photo has no place on a GPU.
            with tf.device("CPU"):
                return self._of_bytes(encoded)
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
        except ConversionError as error:
            reason = f"{error}"
        except BROKEN_IMAGE as error:
            reason = reason_of(error)
        bad = Unreadable(position, path, reason)
        raise UnreadableImageError([bad], "leave it out of the paths")


class FilePlaces:
    """Embeds image files place by place; decoding and network are traced once.

    Args:
      places: uint8 RGB `[batch, height, width, 3]` to the parts of the learner
        embeddings, `[batch, learners, h, w, dim]`, and what the bias adds, `[batch,
        learners, dim]`.
      preprocessing: From the bytes of an image file to such pixels.
    """

    def __init__(self, places: Callable, preprocessing: Preprocessing) -> None:
        def of_bytes(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            image = decode(encoded, preprocessing.max_pixels)
            shown = preprocessing.shown(tf.shape(image)[:2])
            return preprocessing.of_whole(image), shown

        self._load = _Files(of_bytes, preprocessing.max_pixels)
        self._places = tf.function(places, autograph=False)

    def __call__(self, path: str) -> Places:
        """Splits the embedding of a file.

        Args:
          path: The file.

        Raises:
          InputError: It is missing or no image.
        """
        view, shown = self._load(0, path)
        return places_of(view.numpy(), shown.numpy(), self._places)


class FileEmbedder:
    """Embeds image files, few or many; decoding and network are traced once.

    Args:
      network: uint8 RGB `[batch, height, width, 3]` to learner embeddings.
      preprocessing: From the bytes of an image file to such pixels.
    """

    def __init__(self, network: tf.keras.Model, preprocessing: Preprocessing) -> None:
        self._load = _Files(preprocessing.for_evaluation, preprocessing.max_pixels)
        (pixels,) = network.inputs
        self._network = tf.function(
            lambda batch: network(batch, training=False),
            [tf.TensorSpec(pixels.shape, pixels.dtype)],
            autograph=False,
        )

    def __call__(self, paths: Sequence[str], batch_size: int) -> np.ndarray:
        """Embeds files in order; the next batch is decoded beside the network.

        Args:
          paths: The files.
          batch_size: Images that are embedded at once.

        Returns:
          `[len(paths), learners, dim]` float32.

        Raises:
          InputError: A file is missing or no image; no path was given.
        """
        if not len(paths):
            raise InputError("There must be an image to embed. Received: no path.")
        if len(paths) == 1:
            # Threads are not worth their start.
            return self._network(self._load(0, paths[0])[tf.newaxis]).numpy()
        starts = range(0, len(paths), batch_size)
        embeddings: list[np.ndarray] = []
        with concurrent.futures.ThreadPoolExecutor() as pool:
            due = pool.map(self._load, range(min(batch_size, len(paths))), paths)
            for start in starts:
                pixels = tf.stack(list(due))
                end = start + batch_size
                ahead = paths[end : end + batch_size]
                due = pool.map(self._load, range(end, end + len(ahead)), ahead)
                embeddings.append(self._network(pixels).numpy())
        return np.concatenate(embeddings)
