"""What a SavedModel answers: bytes of image files, or pixels, in; embeddings out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from abe_tf.data.pixels.preprocessing import Preprocessing
from abe_tf.models.ensemble import layout_of, mask_network
from abe_tf.models.places import PlacesNetwork, ends_linearly
from abe_tf.retrieval import distances

# Name in the graph of the function that decodes a file, before a number.
DECODER = "__inference_for_evaluation_"
_IMAGE_BYTES = tf.TensorSpec([None], tf.string, name="image_bytes")


@dataclasses.dataclass(frozen=True)
class SearchGallery:
    """Images that the signature `search` looks among.

    Attributes:
      learner_embeddings: `[images, learners, dim]` float32.
      ids: `[images]`, what an answer calls them.
      labels: `[images]` names of classes.
    """

    learner_embeddings: np.ndarray
    ids: list[str]
    labels: list[str]


class ServingModule(tf.Module):
    """A network with its preprocessing, as TensorFlow Serving calls it.

    Args:
      network: uint8 RGB `[batch, height, width, 3]` to learner embeddings.
      preprocessing: The evaluation's.
    """

    def __init__(
        self,
        network: tf.keras.Model,
        preprocessing: Preprocessing,
    ) -> None:
        super().__init__(name="abe")
        # The variables and not the network: Keras would otherwise trace each of its
        # layers again, and the file would hold them twice.
        self.network_variables = network.variables
        self._untracked = lambda: network
        # One function that all signatures call, in the file once.
        self._decode = tf.function(
            preprocessing.for_evaluation,
            [tf.TensorSpec([], tf.string)],
            autograph=False,
        )

    def signatures(
        self, gallery: SearchGallery | None, top_k: int
    ) -> dict[str, Callable]:
        """The signatures by name, all with an open batch dimension and float32 out.

        Args:
          gallery: Gallery of `search`, which is left out where `None`.
          top_k: Number of images `search` answers with.
        """
        network = self._untracked()
        size = network.inputs[0].shape[1:]
        pixels = tf.TensorSpec([None, *size], tf.uint8, name="pixels")
        answers = {
            "serving_default": (self.embedding, _IMAGE_BYTES),
            "learners": (self.learners, _IMAGE_BYTES),
            "pixels": (self.embedding_of_pixels, pixels),
        }
        if ends_linearly(network):
            answers["parts"] = (self.parts, pixels)
        if mask_network(network) is not None:
            answers["attention"] = (self.attention, _IMAGE_BYTES)
        if gallery is not None:
            answers["search"] = (self._searching(gallery, top_k), _IMAGE_BYTES)
        return {
            name: tf.function(answer, [takes], autograph=False)
            for name, (answer, takes) in answers.items()
        }

    def embedding(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Embeds image files.

        Args:
          image_bytes: `[batch]` strings, each a JPEG, PNG, BMP or GIF file.

        Returns:
          "embedding", float32 `[batch, dimensions]`: the learners side by side. Where
          all count alike each is of unit length, and the whole of length
          sqrt(learners).
        """
        return {"embedding": self._joined(self._embed(self._decoded(image_bytes)))}

    def learners(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `embedding`: "learner_embeddings", float32 `[batch, learners, dim]`."""
        return {"learner_embeddings": self._embed(self._decoded(image_bytes))}

    def attention(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Attention masks, averaged over their channels.

        Args:
          image_bytes: Scalar strings `[batch]`, as for `embedding`.

        Returns:
          "masks", float32 `[batch, learners, h, w]` in (0, 1).
        """
        model = mask_network(self._untracked())
        masks = _nonempty(model, self._decoded(image_bytes))
        return {"masks": tf.reduce_mean(tf.cast(masks, tf.float32), -1)}

    def embedding_of_pixels(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `embedding`, of images that are preprocessed already.

        Args:
          pixels: uint8 RGB `[batch, height, width, 3]`.
        """
        return {"embedding": self._joined(self._embed(pixels))}

    def parts(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        """Learner embeddings place by place, of images that are preprocessed already.

        Args:
          pixels: uint8 RGB `[batch, height, width, 3]`.

        Returns:
          "parts", float32 `[batch, learners, h, w, dim]`, and "bias", float32 `[batch,
          learners, dim]`; the sum over the places and the bias is `learners`.
        """
        places = PlacesNetwork(self._untracked())
        count = tf.shape(pixels)[0]
        parts, bias = places(_padded(pixels))
        return {"parts": parts[:count], "bias": bias[:count]}

    def _searching(self, gallery: SearchGallery, top_k: int) -> Callable:
        order = np.arange(len(gallery.ids))
        right = distances.augmented(gallery.learner_embeddings, order)
        # Variables are stored once; constants would be in every traced graph.
        self.gallery = tf.Variable(right, trainable=False)
        self.ids = tf.Variable(gallery.ids, trainable=False)
        self.labels = tf.Variable(gallery.labels, trainable=False)
        zero = tf.constant(distances.noise_floor(gallery.learner_embeddings))
        count, learners = min(top_k, len(gallery.ids)), right.shape[0]

        def search(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            """Nearest images: "neighbors", "labels", "distances", `[batch, top_k]`."""
            queries = self._embed(self._decoded(image_bytes))
            x = tf.transpose(queries, [1, 0, 2])
            squares = tf.reduce_sum(tf.square(x), -1, keepdims=True)
            left = tf.concat([-2 * x, squares, tf.ones_like(squares)], -1)
            kinds = distances.by_kind(left, self.gallery, zero, learners, ("ensemble",))
            nearest, places = tf.math.top_k(-next(kinds) / learners, count)
            return {
                "neighbors": tf.gather(self.ids, places),
                "labels": tf.gather(self.labels, places),
                "distances": -nearest,
            }

        return search

    def _joined(self, learner_embeddings: tf.Tensor) -> tf.Tensor:
        """Side by side, without what fills shorter ones up."""
        layout = layout_of(self._untracked())
        if layout.size == layout.learners * layout.dim:
            return tf.reshape(learner_embeddings, [-1, layout.size])
        parts = [learner_embeddings[:, m, :dim] for m, dim in enumerate(layout.dims)]
        return tf.concat(parts, 1)

    def _decoded(self, image_bytes: tf.Tensor) -> tf.Tensor:
        network = self._untracked()
        shape = tf.TensorSpec(network.inputs[0].shape[1:], tf.uint8)
        return tf.map_fn(self._decode, image_bytes, fn_output_signature=shape)

    def _embed(self, pixels: tf.Tensor) -> tf.Tensor:
        network = self._untracked()
        return tf.cast(_nonempty(network, pixels), tf.float32)


def _nonempty(network: tf.keras.Model, pixels: tf.Tensor) -> tf.Tensor:
    """Runs a network on a batch that may be empty, which convolutions refuse."""
    return network(_padded(pixels), training=False)[: tf.shape(pixels)[0]]


def _padded(pixels: tf.Tensor) -> tf.Tensor:
    """One black image in place of none."""
    empty = tf.cast(tf.shape(pixels)[0] == 0, tf.int32)
    return tf.pad(pixels, [[0, empty], *[[0, 0]] * 3])
