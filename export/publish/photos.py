"""Real images that an export must answer for."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from abe_tf.config.data import DataConfig
from abe_tf.data import datasets
from abe_tf.data.pipeline import Loader
from abe_tf.errors import InputError
from abe_tf.layout import Layout
from abe_tf.models.ensemble import layout_of, mask_network
from abe_tf.models.places import PlacesNetwork
from abe_tf.retrieval.embedding import Embedder
from abe_tf.runs.trained import TrainedModel

COUNT = 32


@dataclasses.dataclass(frozen=True)
class ReferencePhotos:
    """Image files, and what evaluation makes of them.

    Attributes:
      encoded: The files' bytes.
      pixels: uint8 RGB `[images, height, width, 3]`, preprocessed.
      learner_embeddings: `[images, learners, dim]` float32, by the model in float32.
      layout: Sizes and lengths of the learners.
      masks: `[images, learners, h, w]` float32, averaged over channels, by the same;
        `None` where it has none.
      parts: `[images, learners, h, w, dim]` float32, the learner embeddings place by
        place, by the same.
      bias: `[images, learners, dim]` float32, what the bias adds to them.
    """

    encoded: list[bytes]
    pixels: np.ndarray
    learner_embeddings: np.ndarray
    layout: Layout
    masks: np.ndarray | None
    parts: np.ndarray
    bias: np.ndarray


def masks_of(network: tf.keras.Model, pixels: np.ndarray) -> np.ndarray | None:
    """Masks of a network, averaged over channels; `None` where it has none."""
    model = mask_network(network)
    if model is None:
        return None
    return tf.reduce_mean(model(pixels, training=False), -1).numpy()


def parts_of(network: tf.keras.Model, pixels: np.ndarray) -> list[np.ndarray]:
    """Learner embeddings place by place, and what the bias adds to them."""
    places = tf.function(PlacesNetwork(network), autograph=False)
    return [one.numpy() for one in places(tf.constant(pixels))]


def of_run(model: TrainedModel, data: DataConfig, split: str) -> ReferencePhotos:
    """Up to 32 images of a run's split, evenly spaced.

    Raises:
      InputError: They cannot be read, or there are none.
    """
    examples = getattr(datasets.load(data), split)
    if not len(examples):
        raise InputError(f"--split={split} needs images. Received: a run without any.")
    chosen = np.zeros(len(examples), bool)
    count = min(COUNT, len(examples))
    chosen[np.linspace(0, len(examples) - 1, count).astype(int)] = True
    # A server is sent whole images, and no boxes.
    examples = dataclasses.replace(examples.where(chosen), boxes=None)
    loader = Loader(examples, model.preprocessing)
    pixels = loader.pixels(np.arange(len(examples)))
    encoded = [examples.read(tf.constant(key)).numpy() for key in examples.keys]
    embeddings = Embedder(model.network)(loader, COUNT)
    masks = masks_of(model.network, pixels)
    parts, bias = parts_of(model.network, pixels)
    layout = layout_of(model.network)
    return ReferencePhotos(encoded, pixels, embeddings, layout, masks, parts, bias)
