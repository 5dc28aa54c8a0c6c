"""Runs a SavedModel through TensorFlow's C API, as TensorFlow Serving does."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from export.runtime import messages
from export.runtime.c_library import (
    INT64,
    POINTER,
    TEXT,
    Buffer,
    GraphError,
    Output,
    Status,
    library,
)

# TensorFlow's numbers for types (types.proto).
STRING = 7
NUMBERS: dict[int, type[np.generic]] = {
    1: np.float32,
    2: np.float64,
    3: np.int32,
    4: np.uint8,
    5: np.int16,
    6: np.int8,
    9: np.int64,
    10: np.bool_,
    22: np.uint32,
    23: np.uint64,
}
# As messages tell them.
TYPE_NAMES = {
    1: "float",
    2: "double",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    18: "complex128",
    19: "half",
    22: "uint32",
    23: "uint64",
}
NAMES = {number: f"DT_{name.upper()}" for number, name in TYPE_NAMES.items()}
_TSTRING_SIZE = 24
# What stands behind the colon of a tensor's name; nothing is 0.
_INDEX = re.compile(r"[0-9]{0,9}")
# Added to the number of a type that is passed by reference.
_REFERENCE = 100

# Text as a list of bytes, or as an array of them.
Value = np.ndarray | Sequence[bytes]


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An input or output of a signature.

    Attributes:
      name: In the graph, such as `StatefulPartitionedCall:0`.
      dtype: TensorFlow's number of the type.
      shape: Its sides, -1 where open; `None` for any.
    """

    name: str
    dtype: int
    shape: tuple[int, ...] | None


@dataclasses.dataclass(frozen=True)
class Signature:
    """What a signature takes and gives, by the names that requests use."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    method_name: str


class LoadedModel:
    """A SavedModel, loaded. Threads may run it at once.

    Args:
      path: The version's folder.

      seconds: That a run may take; 0 for as long as it likes. TensorFlow ends a run
        that is late between two operations.

    Raises:
      GraphError: It cannot be loaded, or a signature names what its graph lacks.
    """

    def __init__(self, path: str, seconds: float = 0) -> None:
        self._tf = library()
        self._graph = self._tf.TF_NewGraph()
        meta = self._tf.TF_NewBuffer()
        options = self._tf.TF_NewSessionOptions()
        tags = (TEXT * 1)(b"serve")
        try:
            with Status(self._tf) as status:
                self._session = self._tf.TF_LoadSessionFromSavedModel(
                    options,
                    None,  # run options
                    os.fsencode(path),
                    tags,
                    len(tags),
                    self._graph,
                    meta,
                    status,
                )
            content = ctypes.string_at(meta.contents.data, meta.contents.length)
        except GraphError:
            self._tf.TF_DeleteGraph(self._graph)
            raise
        finally:
            self._tf.TF_DeleteSessionOptions(options)
            self._tf.TF_DeleteBuffer(meta)
        self.signatures = {
            entry.key: _signature(entry.value)
            for entry in messages.MetaGraph.FromString(content).signature_def
            if not entry.key.startswith("__saved_model")
        }
        try:
            for name, signature in self.signatures.items():
                for tensor in (
                    *signature.inputs.values(),
                    *signature.outputs.values(),
                ):
                    self._check(name, tensor)
        except GraphError:
            self.close()
            raise
        limit = messages.RunOptions(timeout_in_ms=round(1000 * seconds))
        self._limit = limit.SerializeToString()
        self._options = Buffer(
            ctypes.cast(ctypes.c_char_p(self._limit), POINTER), len(self._limit), None
        )

    def run(self, signature: str, inputs: dict[str, Value]) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
          signature: Its name.
          inputs: By name: an array, or for text a list of bytes.

        Returns:
          Outputs by name; text as an array of `bytes` objects.

        Raises:
          GraphError: An operation failed.
        """
        wanted = self.signatures[signature]
        names = list(wanted.outputs)
        feeds = self._places([wanted.inputs[name] for name in inputs])
        fetches = self._places(list(wanted.outputs.values()))
        results = (POINTER * len(names))()
        fed: list[int] = []
        try:
            for name, value in inputs.items():
                fed.append(self._tensor(wanted.inputs[name], value))
            with Status(self._tf) as status:
                self._tf.TF_SessionRun(
                    self._session,
                    ctypes.byref(self._options),
                    feeds,
                    (POINTER * len(fed))(*fed),
                    len(fed),
                    fetches,
                    results,
                    len(names),
                    None,  # operations that are run and not fetched
                    0,
                    None,  # what the run tells of itself
                    status,
                )
            return {
                name: self._array(result)
                for name, result in zip(names, results, strict=True)
            }
        finally:
            for tensor in (*fed, *results):
                if tensor:
                    self._delete(tensor)

    def close(self) -> None:
        """Frees the session and the graph; no run may be under way."""
        with Status(self._tf) as status:
            self._tf.TF_CloseSession(self._session, status)
        with Status(self._tf) as status:
            self._tf.TF_DeleteSession(self._session, status)
        self._tf.TF_DeleteGraph(self._graph)

    def _check(self, signature: str, tensor: Tensor) -> None:
        """Refuses a tensor that is not there, which would end the process."""
        place = self._place(tensor)
        outputs = self._tf.TF_OperationNumOutputs(place.oper) if place.oper else 0
        if not 0 <= place.index < outputs:
            raise GraphError(
                3,
                f"The signature {signature!r} must name tensors of its graph. "
                f"Received: {tensor.name!r}, which is not there.",
            )
        kind = self._tf.TF_OperationOutputType(place)
        if kind % _REFERENCE != tensor.dtype:
            raise GraphError(
                3,
                f"The signature {signature!r} must tell the types of its tensors. "
                f"Received: {NAMES.get(tensor.dtype, tensor.dtype)} for "
                f"{tensor.name!r} of {NAMES.get(kind, kind)}.",
            )

    def _place(self, tensor: Tensor) -> Output:
        operation, _, index = tensor.name.partition(":")
        number = int(index or "0") if _INDEX.fullmatch(index) else -1
        node = self._tf.TF_GraphOperationByName(self._graph, operation.encode())
        return Output(node, number)

    def _places(self, tensors: Sequence[Tensor]) -> Any:
        return (Output * len(tensors))(*map(self._place, tensors))

    def _allocated(self, kind: int, shape: Sequence[int], size: int) -> int:
        tensor = self._tf.TF_AllocateTensor(
            kind, (INT64 * len(shape))(*shape), len(shape), size
        )
        if not tensor:
            raise GraphError(8, f"There is no memory for a tensor of {size:,} bytes")
        return tensor

    def _tensor(self, wanted: Tensor, value: Value) -> int:
        if wanted.dtype == STRING:
            return self._text(value)
        array = np.asarray(value, NUMBERS[wanted.dtype], order="C")
        tensor = self._allocated(wanted.dtype, array.shape, array.nbytes)
        ctypes.memmove(self._tf.TF_TensorData(tensor), array.ctypes.data, array.nbytes)
        return tensor

    def _text(self, value: Value) -> int:
        shape = value.shape if isinstance(value, np.ndarray) else (len(value),)
        texts = value.ravel() if isinstance(value, np.ndarray) else value
        tensor = self._allocated(STRING, shape, _TSTRING_SIZE * len(texts))
        start = self._tf.TF_TensorData(tensor)
        for number, text in enumerate(texts):
            place = start + number * _TSTRING_SIZE
            self._tf.TF_StringInit(place)
            self._tf.TF_StringCopy(place, text, len(text))
        return tensor

    def _array(self, tensor: int) -> np.ndarray:
        rank = self._tf.TF_NumDims(tensor)
        shape = tuple(self._tf.TF_Dim(tensor, axis) for axis in range(rank))
        start, kind = self._tf.TF_TensorData(tensor), self._tf.TF_TensorType(tensor)
        if kind == STRING:
            texts = np.empty(int(np.prod(shape)), object)
            for number in range(len(texts)):
                place = start + number * _TSTRING_SIZE
                texts[number] = ctypes.string_at(
                    self._tf.TF_StringGetDataPointer(place),
                    self._tf.TF_StringGetSize(place),
                )
            return texts.reshape(shape)
        if kind not in NUMBERS:
            name = TYPE_NAMES.get(kind, str(kind))
            text = f"Failed to write JSON value for tensor type: {name}"
            raise GraphError(3, text)
        content = ctypes.string_at(start, self._tf.TF_TensorByteSize(tensor))
        return np.frombuffer(content, NUMBERS[kind]).reshape(shape)

    def _delete(self, tensor: int) -> None:
        if self._tf.TF_TensorType(tensor) == STRING:
            start = self._tf.TF_TensorData(tensor)
            for number in range(
                self._tf.TF_TensorByteSize(tensor) // _TSTRING_SIZE if start else 0
            ):
                self._tf.TF_StringDealloc(start + number * _TSTRING_SIZE)
        self._tf.TF_DeleteTensor(tensor)


def _signature(definition: Any) -> Signature:
    def tensors(entries: Any) -> dict[str, Tensor]:
        return {
            entry.key: Tensor(
                entry.value.name,
                entry.value.dtype,
                None
                if entry.value.tensor_shape.unknown_rank
                else tuple(dim.size for dim in entry.value.tensor_shape.dim),
            )
            for entry in sorted(entries, key=lambda entry: entry.key)
        }

    return Signature(
        tensors(definition.inputs), tensors(definition.outputs), definition.method_name
    )
