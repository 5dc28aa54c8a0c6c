"""What embeds the photos of an index: a run, an export, or an encoder alone."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from abe_tf.config.data import DataConfig
from abe_tf.config.index import SourceConfig
from abe_tf.config.model import ModelConfig
from abe_tf.data.pixels.preprocessing import Preprocessing
from abe_tf.errors import InputError
from abe_tf.layout import Layout
from abe_tf.models.ensemble import layout_of
from abe_tf.models.places import PlacesNetwork
from abe_tf.runs import trained
from abe_tf.runs.flags import RunFlags
from abe_tf.storage.files import check_place
from export.runtime import model_folder

# What a network of a run computes in here, as its export does unless told otherwise.
_FLOAT32 = "float32"


@dataclasses.dataclass(frozen=True)
class IndexModel:
    """A network as an index needs it.

    Attributes:
      fingerprint: Tells embeddings of this model from all others: its weights, what it
        computes in, and what it sees of a photo.
      layout: Sizes and lengths of the learners.
      preprocessing: From a photo to the network's square.
      embed: uint8 RGB `[batch, height, width, 3]` to learner embeddings,
        float32 `[batch, learners, dim]`.
      places: From such pixels to the parts of the learner embeddings, `[batch,
        learners, h, w, dim]`, and what the bias adds; `None` of exports without them.
    """

    fingerprint: str
    layout: Layout
    preprocessing: Preprocessing
    embed: Callable[[tf.Tensor], np.ndarray]
    places: Callable | None


@dataclasses.dataclass(frozen=True)
class Exported:
    """What an export says of itself.

    Attributes:
      path: Folder of its newest version.
      fingerprint: Fingerprint of the model, as an index has it.
      layout: Sizes and lengths of the learners.
      preprocessing: From a photo to the network's square.
    """

    path: str
    fingerprint: str
    layout: Layout
    preprocessing: Preprocessing


def load(source: SourceConfig, max_pixels: int) -> IndexModel:
    """The model that flags name.

    Args:
      source: The flags, of which one names a model.
      max_pixels: Larger photos are refused.

    Raises:
      InputError: It cannot be had.
    """
    if source.model_dir:
        return _of_export(source, max_pixels)
    if source.workdir:
        return _of_network(
            trained.load(source.workdir, source.checkpoint, _FLOAT32, max_pixels)
        )
    return _of_network(_encoder(source, max_pixels))


def _encoder(source: SourceConfig, max_pixels: int) -> trained.TrainedModel:
    from abe_tf.models.build import build

    config = ModelConfig(
        encoder=source.encoder or "",
        encoder_weights=source.encoder_weights,
        mobilenet_alpha=source.mobilenet_alpha,
        ensemble="none",
        num_learners=1,
        embedding_dim=0,
    )
    config.check_paths()
    data = DataConfig(image_size=source.image_size, max_pixels=max_pixels)
    network = build(config, data.image_size)
    return trained.TrainedModel(network, Preprocessing.of(data), data, "pretrained")


def _of_network(model: trained.TrainedModel) -> IndexModel:
    network = model.network
    (pixels,) = network.inputs
    called = tf.function(
        lambda batch: network(batch, training=False),
        [tf.TensorSpec(pixels.shape, pixels.dtype)],
        autograph=False,
    )
    return IndexModel(
        fingerprint=_fingerprint(model.fingerprint(), _FLOAT32, model.preprocessing),
        layout=layout_of(network),
        preprocessing=model.preprocessing,
        embed=lambda batch: called(batch).numpy(),
        places=tf.function(PlacesNetwork(network), autograph=False),
    )


def exported(folder: str, max_pixels: int) -> Exported:
    """What the newest version of a model folder says of itself.

    Args:
      folder: What export.saved_model wrote.
      max_pixels: Larger photos are refused.

    Raises:
      InputError: It is none, or older than model cards.
    """
    versions = model_folder.versions(folder)
    if not versions:
        raise InputError(
            "--model_dir must be a folder that export.saved_model wrote. "
            f"Received: {folder!r}, without a version."
        )
    path = os.path.join(folder, str(versions[-1]))
    try:
        with open(os.path.join(path, "model_card.json"), encoding="utf-8") as file:
            card = json.load(file)
        layout = Layout.of({**card, "dim": card["dimensions_of_a_learner"]})
        text = "\n".join(card["flags"])
        weights, precision = card["fingerprint"], card["precision"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "--model_dir must be a folder that export.saved_model wrote, with model "
            f"cards of this version. Received: {path!r}: {error}. Export it again."
        ) from error
    data = dataclasses.replace(RunFlags.parse(text).data, max_pixels=max_pixels)
    preprocessing = Preprocessing.of(data)
    fingerprint = _fingerprint(weights, precision, preprocessing)
    return Exported(path, fingerprint, layout, preprocessing)


def _of_export(source: SourceConfig, max_pixels: int) -> IndexModel:
    said = exported(source.model_dir or "", max_pixels)
    check_place("model_dir", said.path)
    path, layout = said.path, said.layout
    try:
        model = tf.saved_model.load(path)
        called = model.signatures["pixels"]
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise InputError(
            "--model_dir must hold a version that loads, with the signature pixels. "
            f"Received: {path!r}: {error}."
        ) from error

    def embed(batch: tf.Tensor) -> np.ndarray:
        # With the model, which a signature alone does not keep.
        _, embedding = model, called(pixels=batch)["embedding"]
        return layout.apart(embedding.numpy())

    def places(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        answer = model.signatures["parts"](pixels=batch)
        return answer["parts"], answer["bias"]

    return IndexModel(
        said.fingerprint,
        layout,
        said.preprocessing,
        embed,
        places if "parts" in model.signatures else None,
    )


def _fingerprint(weights: str, precision: str, preprocessing: Preprocessing) -> str:
    sees = preprocessing.image_size, preprocessing.scaled_size, preprocessing.stretch
    text = json.dumps([weights, precision, *sees])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
