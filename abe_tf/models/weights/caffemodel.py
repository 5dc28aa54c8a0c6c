"""Reads the weights in a `.caffemodel` file, without Caffe.

Such a file is one protocol buffer message, NetParameter of caffe.proto. Only the fields
that hold layers, their names and their blobs are declared, of both generations of the
format.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from abe_tf.errors import InputError
from abe_tf.storage.messages import FLOAT, INT32, INT64, TEXT, message_classes

_SIZES = ("num", "channels", "height", "width")
_CLASSES = message_classes(
    "caffe",
    {
        "BlobShape": {"dim": (1, INT64, True)},
        "BlobProto": {
            # Older files give the four sizes one by one.
            **{name: (number, INT32, False) for number, name in enumerate(_SIZES, 1)},
            "data": (5, FLOAT, True),
            "shape": (7, "BlobShape", False),
        },
        "LayerParameter": {"name": (1, TEXT, False), "blobs": (7, "BlobProto", True)},
        "V1LayerParameter": {"name": (4, TEXT, False), "blobs": (6, "BlobProto", True)},
        "NetParameter": {
            "layers": (2, "V1LayerParameter", True),
            "layer": (100, "LayerParameter", True),
        },
    },
)


def read_blobs(path: str) -> dict[str, list[np.ndarray]]:
    """The blobs of every layer that has any.

    Args:
      path: A `.caffemodel` file.

    Returns:
      By the name of the layer, float32 arrays of the shape that the file states; a
      convolution has weights `[out, in, height, width]` and bias `[out]` (in files of
      the older generation `[1, 1, 1, out]`).

    Raises:
      InputError: The file cannot be read, ends too early or is no such file.
    """
    try:
        with open(path, "rb") as file:
            net = _CLASSES["NetParameter"].FromString(file.read())
        return {
            layer.name: [_array(blob) for blob in layer.blobs]
            for layer in (*net.layers, *net.layer)
            if layer.blobs
        }
    except (OSError, ValueError, DecodeError) as error:
        raise InputError(
            "A .caffemodel file must be complete and in Caffe's binary format. "
            f"Received: {os.fspath(path)!r}: {error}. Fetch it again."
        ) from error


def _array(blob: Any) -> np.ndarray:
    if blob.HasField("shape"):
        shape = tuple(blob.shape.dim)
    else:
        # A size that is not stated is 1.
        shape = tuple(getattr(blob, name) or 1 for name in _SIZES)
    return np.array(blob.data, np.float32).reshape(shape)
