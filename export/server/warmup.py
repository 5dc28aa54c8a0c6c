"""Runs a version's warmup records, as TensorFlow Serving does before it is available.

They lie in a TFRecord file of PredictionLog messages beside the graph.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from google.protobuf import message

from export.runtime import c_api, messages, model_folder
from export.runtime.c_library import GraphError

# More are refused, as by the server.
_MOST = 1000
# Of a record: its length and a sum before it, a sum behind.
_LENGTH = struct.Struct("<Q")
_BEFORE, _BEHIND = 12, 4


def replay(model: c_api.LoadedModel, path: str) -> None:
    """Runs the records of a version; there need not be any.

    Args:
      model: The version, loaded.
      path: Its folder.

    Raises:
      GraphError: A record cannot be read, or does not run.
    """
    file = os.path.join(path, model_folder.WARMUP)
    if not os.path.isfile(file):
        return
    number = 0
    try:
        for number, record in enumerate(_records(file)):
            if number >= _MOST:
                text = f"Number of warmup records exceeds the maximum, {_MOST}"
                raise GraphError(3, text)
            _run(model, messages.PredictionLog.FromString(record))
    except (OSError, KeyError, ValueError, TypeError, message.DecodeError) as error:
        text = f"Warmup record {number} of {file!r}: {error!r}"
        raise GraphError(3, text) from error


def _run(model: c_api.LoadedModel, log: Any) -> None:
    if not log.HasField("predict_log"):
        # To classify or regress, which no signature here does.
        return
    request = log.predict_log.request
    name = request.model_spec.signature_name or "serving_default"
    if name not in model.signatures:
        raise ValueError(f"no signature {name!r}")
    model.run(name, {entry.key: _value(entry.value) for entry in request.inputs})


def _records(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while head := file.read(_BEFORE):
            if len(head) < _BEFORE:
                raise GraphError(3, f"{path!r} ends within a record")
            (length,) = _LENGTH.unpack(head[: _LENGTH.size])
            if length > os.path.getsize(path):
                raise GraphError(3, f"{path!r} states a record longer than it is")
            record = file.read(length)
            if len(record) < length or len(file.read(_BEHIND)) < _BEHIND:
                raise GraphError(3, f"{path!r} ends within a record")
            yield record


def _value(tensor: Any) -> c_api.Value:
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.dtype == c_api.STRING:
        texts = np.empty(len(tensor.string_val), object)
        texts[:] = list(tensor.string_val)
        return texts.reshape(shape)
    kind = c_api.NUMBERS.get(tensor.dtype)
    if kind is None or not tensor.tensor_content:
        raise GraphError(12, "Warmup records must hold texts, or numbers as bytes")
    return np.frombuffer(tensor.tensor_content, kind).reshape(shape)
