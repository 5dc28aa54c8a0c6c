"""TensorFlow's C library, declared for ctypes.

Python TensorFlow must not be in the process: the libraries that it loads and these
would register their operations twice.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from typing import Any

from abe_tf import quiet
from export.runtime import messages


class GraphError(Exception):
    """What TensorFlow answered instead of a result.

    Attributes:
      code: Its number, as of gRPC.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Output(ctypes.Structure):
    """TF_Output: an operation, and which of what it gives."""

    _fields_ = (("oper", ctypes.c_void_p), ("index", ctypes.c_int))


class Buffer(ctypes.Structure):
    """TF_Buffer: bytes."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    )


POINTER, SIZE, INT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
TEXT, INT64 = ctypes.c_char_p, ctypes.c_int64
# Function: what it gives, then what it takes (tensorflow/c/c_api.h, tf_tensor.h,
# tf_status.h, tf_tstring.h).
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "TF_NewStatus": (POINTER,),
    "TF_DeleteStatus": (None, POINTER),
    "TF_GetCode": (INT, POINTER),
    "TF_Message": (TEXT, POINTER),
    "TF_NewSessionOptions": (POINTER,),
    "TF_DeleteSessionOptions": (None, POINTER),
    "TF_NewGraph": (POINTER,),
    "TF_DeleteGraph": (None, POINTER),
    "TF_NewBuffer": (ctypes.POINTER(Buffer),),
    "TF_DeleteBuffer": (None, ctypes.POINTER(Buffer)),
    "TF_GetAllOpList": (ctypes.POINTER(Buffer),),
    "TF_LoadSessionFromSavedModel": (
        *(POINTER, POINTER, POINTER, TEXT, ctypes.POINTER(TEXT), INT),
        *(POINTER, ctypes.POINTER(Buffer), POINTER),
    ),
    "TF_CloseSession": (None, POINTER, POINTER),
    "TF_DeleteSession": (None, POINTER, POINTER),
    "TF_GraphOperationByName": (POINTER, POINTER, TEXT),
    "TF_OperationNumOutputs": (INT, POINTER),
    "TF_OperationOutputType": (INT, Output),
    "TF_SessionRun": (
        *(None, POINTER, ctypes.POINTER(Buffer)),
        *(ctypes.POINTER(Output), ctypes.POINTER(POINTER), INT),
        *(ctypes.POINTER(Output), ctypes.POINTER(POINTER), INT),
        *(POINTER, INT, POINTER, POINTER),
    ),
    "TF_AllocateTensor": (POINTER, INT, ctypes.POINTER(INT64), INT, SIZE),
    "TF_DeleteTensor": (None, POINTER),
    "TF_TensorData": (POINTER, POINTER),
    "TF_TensorByteSize": (SIZE, POINTER),
    "TF_TensorType": (INT, POINTER),
    "TF_NumDims": (INT, POINTER),
    "TF_Dim": (INT64, POINTER, INT),
    "TF_StringInit": (None, POINTER),
    "TF_StringCopy": (None, POINTER, TEXT, SIZE),
    "TF_StringGetDataPointer": (POINTER, POINTER),
    "TF_StringGetSize": (SIZE, POINTER),
    "TF_StringDealloc": (None, POINTER),
}


_LOADED: list[ctypes.CDLL] = []


def library() -> ctypes.CDLL:
    """TensorFlow's C library, loaded once."""
    if not _LOADED:
        _LOADED.append(_load())
    return _LOADED[0]


def known_operations() -> set[str]:
    """The operations that the library has."""
    buffer = library().TF_GetAllOpList()
    content = ctypes.string_at(buffer.contents.data, buffer.contents.length)
    library().TF_DeleteBuffer(buffer)
    return {op.name for op in messages.OpList.FromString(content).op}


def _load() -> ctypes.CDLL:
    if "tensorflow" in sys.modules:
        raise RuntimeError("Python TensorFlow is in this process already.")
    package = importlib.util.find_spec("tensorflow")
    if package is None or not package.submodule_search_locations:
        raise RuntimeError("TensorFlow is not installed.")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    folder = package.submodule_search_locations[0]
    with quiet.silence():
        library = ctypes.CDLL(os.path.join(folder, "libtensorflow_cc.so.2"))
    for name, (result, *arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class Status:
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
