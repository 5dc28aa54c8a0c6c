"""The files of TensorBoard's embedding projector."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf
from tensorboard.plugins import projector

from abe_tf.storage.files import write_atomically

_THUMBNAIL = 32


def write(
    folder: str,
    learner_embeddings: np.ndarray,
    classes: list[str],
    names: list[str],
    pixels: np.ndarray,
) -> None:
    """Writes concatenated embeddings with class, name and picture of each image.

    Args:
      folder: Folder of event files.
      learner_embeddings: `[images, learners, dim]` float32.
      classes: `[images]`.
      names: `[images]`.
      pixels: uint8 RGB `[images, height, width, 3]`.
    """
    vectors = learner_embeddings.reshape(len(learner_embeddings), -1)
    table = "".join("\t".join(f"{x:.6g}" for x in vector) + "\n" for vector in vectors)
    rows = [f"{_cell(c)}\t{_cell(n)}\n" for c, n in zip(classes, names, strict=True)]
    config = projector.ProjectorConfig()
    embedding = config.embeddings.add(
        tensor_name="ensemble",
        tensor_path="embeddings.tsv",
        metadata_path="metadata.tsv",
    )
    embedding.sprite.image_path = "sprite.png"
    embedding.sprite.single_image_dim.extend([_THUMBNAIL, _THUMBNAIL])
    for name, content in (
        ("embeddings.tsv", table),
        ("metadata.tsv", "class\timage\n" + "".join(rows)),
        ("sprite.png", tf.io.encode_png(_sprite(pixels)).numpy()),
        ("projector_config.pbtxt", str(config)),
    ):
        write_atomically(os.path.join(folder, name), content)


def _cell(text: str) -> str:
    return text.replace("\t", " ").replace("\n", " ")


def _sprite(pixels: np.ndarray) -> np.ndarray:
    """Thumbnails row by row in a square, as the projector cuts them out again."""
    small = tf.image.resize(pixels, [_THUMBNAIL] * 2, antialias=True)
    small = tf.cast(tf.clip_by_value(tf.round(small), 0, 255), tf.uint8).numpy()
    side = int(np.ceil(np.sqrt(len(small))))
    missing = side * side - len(small)
    cells = np.pad(small, [(0, missing), *[(0, 0)] * 3])
    cells = cells.reshape(side, side, _THUMBNAIL, _THUMBNAIL, 3)
    return cells.swapaxes(1, 2).reshape(side * _THUMBNAIL, side * _THUMBNAIL, 3)
