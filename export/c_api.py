"""Runs a SavedModel through TensorFlow's C API, as TensorFlow Serving does.

Python TensorFlow must not be in the process: the libraries that it loads and these
would register their operations twice.
"""

from __future__ import annotations

import ctypes
import dataclasses
import importlib.util
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from export import messages

# TensorFlow's numbers for types (types.proto).
STRING, BFLOAT16 = 7, 14
NUMBERS: dict[int, type[np.generic]] = {
    1: np.float32,
    2: np.float64,
    3: np.int32,
    4: np.uint8,
    6: np.int8,
    9: np.int64,
    10: np.bool_,
}
NAMES = {1: "DT_FLOAT", 2: "DT_DOUBLE", 3: "DT_INT32", 4: "DT_UINT8", 6: "DT_INT8"}
NAMES |= {STRING: "DT_STRING", 9: "DT_INT64", 10: "DT_BOOL", BFLOAT16: "DT_BFLOAT16"}
_TSTRING_SIZE = 24

Value = np.ndarray | Sequence[bytes]


class GraphError(Exception):
    """What TensorFlow answered instead of a result.

    Attributes:
      code: Its number, as of gRPC.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


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


class _Output(ctypes.Structure):
    _fields_ = (("oper", ctypes.c_void_p), ("index", ctypes.c_int))


class _Buffer(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    )


_POINTER, _SIZE, _INT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
_TEXT, _INT64 = ctypes.c_char_p, ctypes.c_int64
# Function: what it gives, then what it takes (tensorflow/c/c_api.h, tf_tensor.h,
# tf_status.h, tf_tstring.h).
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "TF_NewStatus": (_POINTER,),
    "TF_DeleteStatus": (None, _POINTER),
    "TF_GetCode": (_INT, _POINTER),
    "TF_Message": (_TEXT, _POINTER),
    "TF_NewSessionOptions": (_POINTER,),
    "TF_DeleteSessionOptions": (None, _POINTER),
    "TF_NewGraph": (_POINTER,),
    "TF_DeleteGraph": (None, _POINTER),
    "TF_NewBuffer": (ctypes.POINTER(_Buffer),),
    "TF_DeleteBuffer": (None, ctypes.POINTER(_Buffer)),
    "TF_GetAllOpList": (ctypes.POINTER(_Buffer),),
    "TF_LoadSessionFromSavedModel": (
        *(_POINTER, _POINTER, _POINTER, _TEXT, ctypes.POINTER(_TEXT), _INT),
        *(_POINTER, ctypes.POINTER(_Buffer), _POINTER),
    ),
    "TF_CloseSession": (None, _POINTER, _POINTER),
    "TF_DeleteSession": (None, _POINTER, _POINTER),
    "TF_GraphOperationByName": (_POINTER, _POINTER, _TEXT),
    "TF_SessionRun": (
        *(None, _POINTER, _POINTER),
        *(ctypes.POINTER(_Output), ctypes.POINTER(_POINTER), _INT),
        *(ctypes.POINTER(_Output), ctypes.POINTER(_POINTER), _INT),
        *(_POINTER, _INT, _POINTER, _POINTER),
    ),
    "TF_AllocateTensor": (_POINTER, _INT, ctypes.POINTER(_INT64), _INT, _SIZE),
    "TF_DeleteTensor": (None, _POINTER),
    "TF_TensorData": (_POINTER, _POINTER),
    "TF_TensorByteSize": (_SIZE, _POINTER),
    "TF_TensorType": (_INT, _POINTER),
    "TF_NumDims": (_INT, _POINTER),
    "TF_Dim": (_INT64, _POINTER, _INT),
    "TF_StringInit": (None, _POINTER),
    "TF_StringCopy": (None, _POINTER, _TEXT, _SIZE),
    "TF_StringGetDataPointer": (_POINTER, _POINTER),
    "TF_StringGetSize": (_SIZE, _POINTER),
    "TF_StringDealloc": (None, _POINTER),
}


def _library() -> ctypes.CDLL:
    if "tensorflow" in sys.modules:
        raise RuntimeError("Python TensorFlow is in this process already.")
    found = importlib.util.find_spec("tensorflow")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("TensorFlow is not installed.")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    folder = found.submodule_search_locations[0]
    library = ctypes.CDLL(os.path.join(folder, "libtensorflow_cc.so.2"))
    for name, (result, *arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class Model:
    """A SavedModel, loaded. Threads may run it at once.

    Args:
      path: The version's folder.

    Raises:
      GraphError: It cannot be loaded.
    """

    def __init__(self, path: str) -> None:
        self._tf = library()
        self._graph = self._tf.TF_NewGraph()
        meta = self._tf.TF_NewBuffer()
        options = self._tf.TF_NewSessionOptions()
        tags = (_TEXT * 1)(b"serve")
        try:
            with _Status(self._tf) as status:
                self._session = self._tf.TF_LoadSessionFromSavedModel(
                    *(options, None, os.fsencode(path), tags, 1, self._graph, meta),
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
        fed = [
            self._tensor(wanted.inputs[name], value) for name, value in inputs.items()
        ]
        feeds = self._places([wanted.inputs[name] for name in inputs])
        fetches = self._places(list(wanted.outputs.values()))
        results = (_POINTER * len(names))()
        try:
            with _Status(self._tf) as status:
                self._tf.TF_SessionRun(
                    *(self._session, None, feeds, (_POINTER * len(fed))(*fed)),
                    *(len(fed), fetches, results, len(names), None, 0, None, status),
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
        with _Status(self._tf) as status:
            self._tf.TF_CloseSession(self._session, status)
        with _Status(self._tf) as status:
            self._tf.TF_DeleteSession(self._session, status)
        self._tf.TF_DeleteGraph(self._graph)

    def _places(self, tensors: Sequence[Tensor]) -> Any:
        found = (_Output * len(tensors))()
        for place, tensor in zip(found, tensors, strict=True):
            operation, _, index = tensor.name.partition(":")
            place.oper = self._tf.TF_GraphOperationByName(
                self._graph, operation.encode()
            )
            place.index = int(index or 0)
        return found

    def _tensor(self, wanted: Tensor, value: Value) -> int:
        if wanted.dtype == STRING:
            return self._text(value)  # type: ignore[arg-type]
        array = np.ascontiguousarray(value, NUMBERS[wanted.dtype])
        sides = (_INT64 * array.ndim)(*array.shape)
        tensor = self._tf.TF_AllocateTensor(
            wanted.dtype, sides, array.ndim, array.nbytes
        )
        ctypes.memmove(self._tf.TF_TensorData(tensor), array.ctypes.data, array.nbytes)
        return tensor

    def _text(self, value: Sequence[bytes]) -> int:
        size = _TSTRING_SIZE * len(value)
        sides = (_INT64 * 1)(len(value))
        tensor = self._tf.TF_AllocateTensor(STRING, sides, 1, size)
        start = self._tf.TF_TensorData(tensor)
        for number, text in enumerate(value):
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
            raise GraphError(
                3, f"Tensors of type {NAMES.get(kind, kind)} have no JSON."
            )
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


class _Status:
    """A status that raises what it holds when it is left."""

    def __init__(self, tf: ctypes.CDLL) -> None:
        self._tf = tf

    def __enter__(self) -> int:
        self._status = self._tf.TF_NewStatus()
        return self._status

    def __exit__(self, kind: object, *_: object) -> None:
        code = self._tf.TF_GetCode(self._status)
        message = self._tf.TF_Message(self._status).decode("utf-8", "replace")
        self._tf.TF_DeleteStatus(self._status)
        if kind is None and code:
            raise GraphError(code, message)


_LOADED: list[ctypes.CDLL] = []


def library() -> ctypes.CDLL:
    """TensorFlow's C library, loaded once."""
    if not _LOADED:
        _LOADED.append(_library())
    return _LOADED[0]


def known_operations() -> set[str]:
    """The operations that the library has."""
    buffer = library().TF_GetAllOpList()
    content = ctypes.string_at(buffer.contents.data, buffer.contents.length)
    library().TF_DeleteBuffer(buffer)
    return {op.name for op in messages.OpList.FromString(content).op}


def _signature(found: Any) -> Signature:
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

    return Signature(tensors(found.inputs), tensors(found.outputs), found.method_name)
