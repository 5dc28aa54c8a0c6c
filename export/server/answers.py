"""Answers of the REST interface, as TensorFlow Serving 2.15 writes them."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from export.runtime import c_api
from export.runtime.c_api import Signature, Tensor
from export.server.rest import RequestError


def answer(outputs: dict[str, np.ndarray], rows: int | None) -> str:
    """The body of an answer.

    Args:
      outputs: By name.
      rows: How many rows were asked for; `None` in column form.

    Raises:
      RequestError: An output has no row for each row of the request.
    """
    if rows is None:
        texts = {name: _column(name, value) for name, value in outputs.items()}
        if len(texts) == 1:
            return '{\n    "outputs": ' + next(iter(texts.values())) + "\n}"
        inside = ",\n".join(f'"{name}": {text}' for name, text in texts.items())
        return '{\n    "outputs": {\n' + inside + "\n    }\n}"
    for name, value in outputs.items():
        if value.ndim == 0 or len(value) != rows:
            text = f"Tensor name: {name} has inconsistent batch size: "
            got = 0 if value.ndim == 0 else len(value)
            raise RequestError(400, f"{text}{got} expecting: {rows}")
    listed = []
    for row in range(rows):
        cells = {name: _row(name, value[row]) for name, value in outputs.items()}
        if len(cells) == 1:
            listed.append(next(iter(cells.values())))
        else:
            inside = ", ".join(f'"{name}": {cell}' for name, cell in cells.items())
            listed.append("{" + inside + "}")
    return '{\n    "predictions": [' + ", ".join(listed) + "\n    ]\n}"


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
    return [
        _whole(f"{number:.6g}") if same else _special(number)
        for same, number in zip(_short_is_exact(flat), flat.tolist(), strict=True)
    ]


def _short_is_exact(flat: np.ndarray) -> np.ndarray:
    """Where six digits give the same number back."""
    with np.errstate(all="ignore"):
        wide = flat.astype(np.float64)
        magnitude = np.floor(np.log10(np.abs(wide)))
        scale = 10.0 ** (5 - magnitude)
        rounded = np.where(wide == 0, 0, np.round(wide * scale) / scale)
        return (rounded.astype(flat.dtype) == flat) | np.isinf(wide)


def _whole(text: str) -> str:
    if text in ("inf", "-inf"):
        return text.replace("inf", "Infinity")
    return text if "." in text or "e" in text else f"{text}.0"


def _special(number: float) -> str:
    return "NaN" if number != number else _whole(f"{number:.9g}")


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
    found = {
        "model_spec": {"name": name, "signature_name": "", "version": str(version)},
        "metadata": {"signature_def": {"signature_def": offered}},
    }
    return json.dumps(found, indent=1)


def status(states: dict[int, str]) -> str:
    """Which versions there are, newest first."""
    listed = [
        {
            "version": str(version),
            "state": state,
            "status": {"error_code": "OK", "error_message": ""},
        }
        for version, state in sorted(states.items(), reverse=True)
    ]
    return json.dumps({"model_version_status": listed}, indent=1)


def error_body(message: str) -> str:
    """The body of every refusal."""
    return json.dumps({"error": message})
