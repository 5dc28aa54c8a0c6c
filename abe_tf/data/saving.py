"""Writes images of a data set as files, one folder a class."""

from __future__ import annotations

import os
import re

import tensorflow as tf

from abe_tf.config.data import MAX_PIXELS
from abe_tf.data.examples import Examples
from abe_tf.data.pixels import kinds
from abe_tf.data.pixels.decoding import decode
from abe_tf.errors import InputError
from abe_tf.storage.files import write_atomically

_PNG = "PNG"


def save(examples: Examples, folder: str, max_pixels: int = MAX_PIXELS) -> int:
    """Writes images as PNG files, FOLDER/CLASS/NUMBER.png.

    A file that there is already and holds the same is left as it is.

    Args:
      examples: The images.
      folder: Made where it does not exist.
      max_pixels: None has more pixels.

    Returns:
      How many images there are.

    Raises:
      InputError: The folder cannot be written.
    """
    for key, label in zip(examples.keys, examples.labels, strict=True):
        encoded = examples.read(tf.constant(key, tf.int64)).numpy()
        if kinds.kind_of(encoded[:64]) != _PNG:
            pixels = decode(tf.constant(encoded), max_pixels)
            encoded = tf.io.encode_png(pixels).numpy()
        name = _folder_name(examples.class_names[label])
        path = os.path.join(folder, name, f"{key:06d}.png")
        if not _holds(path, encoded):
            _write(path, encoded)
    return len(examples)


def _folder_name(class_name: str) -> str:
    """A class may be called anything; a folder may not."""
    name = re.sub(r"[/\0]", "_", class_name)
    # The folder itself, and the one that it lies in.
    return name.replace(".", "_") if name in (".", "..") else name


def _holds(path: str, content: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read() == content
    except OSError:
        return False


def _write(path: str, content: bytes) -> None:
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    except OSError as error:
        raise InputError(
            "--save_images must be a folder that can be written. "
            f"Received: {path!r}: {error.strerror}."
        ) from error
    write_atomically(path, content)
