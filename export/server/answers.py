"""Answers of the REST interface, as TensorFlow Serving 2.15 writes them."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import numpy as np

from export.runtime import c_api
from export.runtime.c_api import Signature, Tensor
from export.server.values import RequestError, decimal

# gRPC's names of its codes.
CODES = {
    0: "OK",
    1: "CANCELLED",
    2: "UNKNOWN",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    11: "OUT_OF_RANGE",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    15: "DATA_LOSS",
    16: "UNAUTHENTICATED",
}


def answer(outputs: dict[str, np.ndarray], by_rows: bool) -> str:
    """The body of an answer.

    Args:
      outputs: By name.
      by_rows: Whether the request came in row form.

    Raises:
      RequestError: Outputs have different numbers of rows, or no rows at all.
    """
    if not by_rows:
        texts = {name: _column(name, value) for name, value in outputs.items()}
        if len(texts) == 1:
            return '{\n    "outputs": ' + next(iter(texts.values())) + "\n}"
        inside = ",\n".join(f'"{name}": {text}' for name, text in texts.items())
        return '{\n    "outputs": {\n' + inside + "\n    }\n}"
    listed = []
    for row in range(_batch_size(outputs)):
        cells = {name: _row(name, value[row]) for name, value in outputs.items()}
        if len(cells) == 1:
            listed.append(next(iter(cells.values())))
        else:
            inside = ", ".join(f'"{name}": {cell}' for name, cell in cells.items())
            listed.append("{" + inside + "}")
    return '{\n    "predictions": [' + ", ".join(listed) + "\n    ]\n}"


def _batch_size(outputs: dict[str, np.ndarray]) -> int:
    """Rows of an answer: the outputs', whatever the request's were."""
    for name, value in outputs.items():
        if value.ndim == 0:
            raise RequestError(400, f"Tensor name: {name} has no shape information ")
    by_size = sorted((len(value), name) for name, value in outputs.items())
    (fewest, _), (most, name) = by_size[0], by_size[-1]
    if most != fewest:
        text = f"Tensor name: {name} has inconsistent batch size: {most} expecting: "
        raise RequestError(400, f"{text}{fewest}")
    return fewest


def _column(name: str, value: np.ndarray) -> str:
    return _nested(_scalars(name, value), list(value.shape), ",\n")


def _row(name: str, value: Any) -> str:
    array = np.asarray(value) if not isinstance(value, bytes) else None
    if array is None:
        return _text(name, value)
    return _nested(_scalars(name, array), list(array.shape), ", ")


def _nested(flat: list[str], shape: list[int], comma: str) -> str:
    if not shape:
        return flat[0]
    if len(shape) == 1:
        return "[" + comma.join(flat) + "]"
    size = len(flat) // shape[0] if shape[0] else 0
    parts = (
        _nested(flat[number * size : (number + 1) * size], shape[1:], comma)
        for number in range(shape[0])
    )
    return "[" + comma.join(parts) + "]"


def _scalars(name: str, value: np.ndarray) -> list[str]:
    if value.dtype == object:
        return [_text(name, text) for text in value.ravel()]
    if value.dtype == np.bool_:
        return ["true" if flag else "false" for flag in value.ravel()]
    if np.issubdtype(value.dtype, np.integer):
        return [str(number) for number in value.ravel().tolist()]
    flat = value.ravel()
    digits = 9 if value.dtype == np.float32 else 17
    return [
        _whole(f"{number:.6g}") if same else decimal(number, digits)
        for same, number in zip(_short_is_exact(flat), flat.tolist(), strict=True)
    ]


def _short_is_exact(flat: np.ndarray) -> np.ndarray:
    """Where six digits give the same number back."""
    with np.errstate(all="ignore"):
        wide = flat.astype(np.float64)
        magnitude = np.floor(np.log10(np.abs(wide)))
        scale = 10.0 ** (5 - magnitude)
        rounded = np.where(wide == 0, 0, np.round(wide * scale) / scale)
        return (rounded.astype(flat.dtype) == flat) & np.isfinite(wide)


def _whole(text: str) -> str:
    return text if "." in text or "e" in text else f"{text}.0"


def _text(name: str, text: bytes) -> str:
    if name.endswith("_bytes"):
        return json.dumps({"b64": base64.b64encode(text).decode()})
    return json.dumps(text.decode("utf-8", "replace"))


def metadata(name: str, version: int, signatures: dict[str, Signature]) -> str:
    """What a model offers."""

    def described(tensors: dict[str, Tensor]) -> dict[str, Any]:
        return {
            key: {
                "dtype": c_api.NAMES.get(tensor.dtype, str(tensor.dtype)),
                "tensor_shape": {
                    "dim": [
                        {"size": str(side), "name": ""} for side in tensor.shape or ()
                    ],
                    "unknown_rank": tensor.shape is None,
                },
                "name": tensor.name,
            }
            for key, tensor in tensors.items()
        }

    offered = {
        key: {
            "inputs": described(signature.inputs),
            "outputs": described(signature.outputs),
            "method_name": signature.method_name,
        }
        for key, signature in signatures.items()
    }
    answer = {
        "model_spec": {"name": name, "signature_name": "", "version": str(version)},
        "metadata": {"signature_def": {"signature_def": offered}},
    }
    return json.dumps(answer, indent=1)


@dataclasses.dataclass(frozen=True)
class State:
    """What a version is doing.

    Attributes:
      name: Such as "AVAILABLE".
      code: gRPC's number of the error that ended it; 0 for none.
      message: Text of the error.
    """

    name: str
    code: int = 0
    message: str = ""


def status(states: dict[int, State]) -> str:
    """Which versions there are, newest first."""
    listed = [
        {
            "version": str(version),
            "state": state.name,
            "status": {
                "error_code": CODES.get(state.code, "UNKNOWN"),
                "error_message": state.message,
            },
        }
        for version, state in sorted(states.items(), reverse=True)
    ]
    return json.dumps({"model_version_status": listed}, indent=1)


def error_body(message: str) -> str:
    """The body of every refusal."""
    return json.dumps({"error": message})
