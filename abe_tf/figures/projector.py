"""The files of TensorBoard's embedding projector."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf
from tensorboard.plugins import projector

from abe_tf.storage.files import write_atomically

# Longer side, in pixels.
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
    small = _small(pixels)
    height, width = small.shape[1:3]
    embedding.sprite.single_image_dim.extend([width, height])
    for name, content in (
        ("embeddings.tsv", table),
        ("metadata.tsv", "class\timage\n" + "".join(rows)),
        ("sprite.png", tf.io.encode_png(_sprite(small)).numpy()),
        ("projector_config.pbtxt", str(config)),
    ):
        write_atomically(os.path.join(folder, name), content)


def _cell(text: str) -> str:
    return text.replace("\t", " ").replace("\n", " ")


def _small(pixels: np.ndarray) -> np.ndarray:
    """Thumbnails of the same shape, uint8."""
    sides = np.array(pixels.shape[1:3])
    smaller = np.maximum(1, np.round(sides * _THUMBNAIL / sides.max())).astype(int)
    small = tf.image.resize(pixels, smaller, antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(small), 0, 255), tf.uint8).numpy()


def _sprite(small: np.ndarray) -> np.ndarray:
    """Thumbnails row by row, as many as columns: the projector cuts them out again."""
    side = int(np.ceil(np.sqrt(len(small))))
    missing = side * side - len(small)
    cells = np.pad(small, [(0, missing), *[(0, 0)] * 3])
    cells = cells.reshape(side, side, *small.shape[1:])
    height, width = small.shape[1:3]
    return cells.swapaxes(1, 2).reshape(side * height, side * width, 3)
