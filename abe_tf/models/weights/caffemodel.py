"""Reads the weights in a `.caffemodel` file, without Caffe.

Such a file is one protocol buffer message, NetParameter. Only the few fields that hold
layers, their names and their blobs are read, in both generations of the format.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from abe_tf.errors import InputError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Fields of NetParameter that repeat layers: the field of a layer's name, of its blobs.
_LAYERS = {100: (1, 7), 2: (4, 6)}
# Fields of BlobProto. Older files give the four sizes one by one.
_SIZES, _DATA, _SHAPE = (1, 2, 3, 4), 5, 7

Field = tuple[int, int | memoryview]


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
            content = memoryview(file.read())
        return dict(_layers(content))
    except (OSError, ValueError, IndexError, UnicodeDecodeError) as error:
        raise InputError(
            "A .caffemodel file must be complete and in Caffe's binary format. "
            f"Received: {os.fspath(path)!r}: {error}. Fetch it again."
        ) from error


def _layers(content: memoryview) -> Iterator[tuple[str, list[np.ndarray]]]:
    for number, value in _fields(content):
        if number not in _LAYERS or not isinstance(value, memoryview):
            continue
        name_field, blobs_field = _LAYERS[number]
        name, blobs = "", []
        for inner, part in _fields(value):
            if inner == name_field and isinstance(part, memoryview):
                name = bytes(part).decode()
            elif inner == blobs_field and isinstance(part, memoryview):
                blobs.append(_blob(part))
        if blobs:
            yield name, blobs


def _blob(content: memoryview) -> np.ndarray:
    sizes = dict.fromkeys(_SIZES, 1)
    shape: list[int] | None = None
    parts = []
    for number, value in _fields(content):
        if number in sizes and isinstance(value, int):
            sizes[number] = value
        elif number == _DATA and isinstance(value, memoryview):
            parts.append(np.frombuffer(value, "<f4"))
        elif number == _SHAPE and isinstance(value, memoryview):
            shape = _dimensions(value)
    shape = list(sizes.values()) if shape is None else shape
    values = np.concatenate(parts) if parts else np.empty(0, np.float32)
    return values.reshape(shape)


def _dimensions(content: memoryview) -> list[int]:
    """Of a BlobShape: field 1, packed or one by one."""
    found = []
    for _, value in _fields(content):
        if isinstance(value, int):
            found.append(value)
            continue
        position = 0
        while position < len(value):
            size, position = _varint(value, position)
            found.append(size)
    return found


def _fields(content: memoryview) -> Iterator[Field]:
    """Number and content of each field of a message."""
    position = 0
    while position < len(content):
        key, position = _varint(content, position)
        kind = key & 7
        if kind == _VARINT:
            value, position = _varint(content, position)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, position = _varint(content, position)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"byte {position} begins no field")
        if position + size > len(content):
            raise ValueError(f"a field of {size} bytes reaches beyond the end")
        yield key >> 3, content[position : position + size]
        position += size


def _varint(content: memoryview, position: int) -> tuple[int, int]:
    """An integer of seven bits a byte, and where the next one starts."""
    value = shift = 0
    while True:
        if position >= len(content) or shift > 63:
            raise ValueError("a number does not end")
        byte = content[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
