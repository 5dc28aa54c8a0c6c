"""Requests and answers of TensorFlow Serving's REST interface, without a server.

As TensorFlow Serving 2.15 reads and writes them: its order of checks, its status codes
and the beginnings of its messages.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from export import c_api
from export.c_api import GraphError, Signature, Tensor

# gRPC's codes to HTTP's.
STATUS = {
    3: 400,
    9: 400,
    11: 400,
    5: 404,
    6: 409,
    10: 409,
    8: 429,
    13: 500,
    2: 500,
    12: 501,
    14: 503,
    4: 504,
}
_NAMES = {
    1: "float",
    2: "double",
    3: "int32",
    4: "uint8",
    6: "int8",
    9: "int64",
    10: "bool",
    c_api.STRING: "string",
}
_EXCERPT = 64


class RequestError(Exception):
    """A request that is refused.

    Attributes:
      status: HTTP's code.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object of a request.

    Raises:
      RequestError: It is none, or its signature's name is no text.
    """
    try:
        found = json.loads(body.removeprefix(b"\xef\xbb\xbf").decode("utf-8"))
    except json.JSONDecodeError as error:
        text = f"JSON Parse error: {error.msg} at offset: {error.pos}"
        raise RequestError(400, text) from error
    except (ValueError, RecursionError) as error:
        text = "JSON Parse error: Invalid value. at offset: 0"
        raise RequestError(400, text) from error
    if not isinstance(found, dict):
        raise RequestError(400, f"JSON Value: {_excerpt(found)} Is not object")
    if not isinstance(found.get("signature_name", ""), str):
        raise RequestError(400, "'signature_name' key must be a string value")
    return found


def signature_of(request: dict[str, Any], offered: dict[str, Signature]) -> str:
    """The name of the signature that a request wants.

    Raises:
      RequestError: There is no such signature.
    """
    name = request.get("signature_name") or "serving_default"
    if name not in offered:
        text = f'Serving signature name: "{name}" not found in signature def'
        raise RequestError(400, text)
    return name


def feeds_of(
    request: dict[str, Any], signature: Signature
) -> tuple[dict[str, c_api.Value], int | None]:
    """What a signature is to be fed.

    Returns:
      Values by input, and how many rows there are; `None` in column form.

    Raises:
      RequestError: They do not fit the signature.
    """
    if "instances" in request and "inputs" in request:
        text = "Request JSON has both 'inputs' and 'instances', expecting only one of "
        raise RequestError(400, text + "them")
    if "instances" in request:
        rows = request["instances"]
        columns = _columns_of_rows(rows, signature.inputs)
        return _filled(columns, signature.inputs), len(rows)
    if "inputs" in request:
        return _filled(
            _columns(request["inputs"], signature.inputs), signature.inputs
        ), None
    raise RequestError(400, "Missing 'inputs' or 'instances' key")


def _columns_of_rows(rows: Any, inputs: dict[str, Tensor]) -> dict[str, Any]:
    if not isinstance(rows, list):
        text = f"Expecting 'instances' value to be an array. Received: {_excerpt(rows)}"
        raise RequestError(400, text)
    if not rows:
        raise RequestError(400, "No values in 'instances' array")
    named = isinstance(rows[0], dict) and not _is_bytes(rows[0])
    if not named and len(inputs) > 1:
        text = "instances is a plain list, but expecting list of objects as multiple "
        raise RequestError(400, text + "input tensors required as per signature")
    if not named:
        return {next(iter(inputs)): rows}
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or _is_bytes(row):
            text = f"Failed to process element: {number} of 'instances' list. Error: "
            raise RequestError(400, text + "INVALID_ARGUMENT: is not an object")
        for key in row:
            if key not in inputs:
                raise _no_such_input(number, key)
        for key in inputs:
            if key not in row:
                raise _no_such_input(number, key)
    return {key: [row[key] for row in rows] for key in inputs}


def _no_such_input(number: int, key: str) -> RequestError:
    return RequestError(
        400,
        f"Failed to process element: {number} key: {key} of 'instances' list. Error: "
        f"INVALID_ARGUMENT: JSON object: does not have named input: {key}",
    )


def _columns(found: Any, inputs: dict[str, Tensor]) -> dict[str, Any]:
    if isinstance(found, dict) and not _is_bytes(found):
        for key in inputs:
            if key not in found:
                text = f"Missing named input: {key} in 'inputs' object."
                raise RequestError(400, text)
        return {key: found[key] for key in inputs}
    if len(inputs) > 1:
        text = "inputs is a plain value/list, but expecting an object as multiple "
        raise RequestError(400, text + "input tensors required as per signature")
    return {next(iter(inputs)): found}


def _filled(
    columns: dict[str, Any], inputs: dict[str, Tensor]
) -> dict[str, c_api.Value]:
    return {name: _value(columns[name], inputs[name].dtype) for name in columns}


def _value(found: Any, dtype: int) -> c_api.Value:
    shape: list[int] = []
    inner = found
    while isinstance(inner, list):
        shape.append(len(inner))
        inner = inner[0] if inner else None
    read = _READERS.get(dtype)
    if read is None:
        raise RequestError(400, f"Tensors of type {dtype} are not supported")
    flat: list[Any] = []
    _flatten(found, shape, read, flat)
    if dtype == c_api.STRING:
        if len(shape) != 1:
            # What the images' signatures take; TensorFlow would say no later.
            text = f"Text must come as a list. Received: {len(shape)} dimensions"
            raise RequestError(400, text)
        return flat
    if dtype == 4:
        flat = [number % 256 for number in flat]
    try:
        return np.array(flat, c_api.NUMBERS[dtype]).reshape(shape)
    except OverflowError as error:
        text = f"JSON Value: {_excerpt(found)} is not of expected type: {_NAMES[dtype]}"
        raise RequestError(400, text) from error


def _flatten(
    found: Any, shape: Sequence[int], read: Callable[[Any], Any], flat: list[Any]
) -> None:
    if not shape:
        if isinstance(found, list):
            text = f"Encountered list at unexpected level. {_excerpt(found)}"
            raise RequestError(400, text)
        flat.append(read(found))
        return
    if not isinstance(found, list) or len(found) != shape[0]:
        text = f"Expecting tensor size: {shape[0]} but got other. {_excerpt(found)}"
        raise RequestError(400, text)
    for one in found:
        _flatten(one, shape[1:], read, flat)


def _reader(name: str, fits: Callable[[Any], bool]) -> Callable[[Any], Any]:
    def read(found: Any) -> Any:
        if not fits(found):
            text = f"JSON Value: {_excerpt(found)} is not of expected type: {name}"
            raise RequestError(400, text)
        return found

    return read


def _read_text(found: Any) -> bytes:
    if isinstance(found, str):
        return found.encode("utf-8", "surrogatepass")
    if _is_bytes(found):
        return _decode(found["b64"])
    text = f"JSON Value: {_excerpt(found)} is not of expected type: string"
    raise RequestError(400, text)


def _is_number(found: Any) -> bool:
    return isinstance(found, (int, float)) and not isinstance(found, bool)


def _is_integer(found: Any) -> bool:
    return isinstance(found, int) and not isinstance(found, bool)


_READERS: dict[int, Callable[[Any], Any]] = {
    **{dtype: _reader(_NAMES[dtype], _is_number) for dtype in (1, 2)},
    **{dtype: _reader(_NAMES[dtype], _is_integer) for dtype in (3, 4, 6, 9)},
    10: _reader("bool", lambda found: isinstance(found, bool)),
    c_api.STRING: _read_text,
}


def _is_bytes(found: Any) -> bool:
    """It counts as bytes only where `b64` is the only key."""
    return isinstance(found, dict) and list(found) == ["b64"]


def _decode(text: Any) -> bytes:
    if not isinstance(text, str):
        raise RequestError(400, f"JSON Value: {_excerpt(text)} is not a string")
    try:
        # Most come without white space and with their padding.
        return base64.b64decode(text, validate=True)
    except ValueError:
        bare = re.sub(r"\s+", "", text).rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except ValueError as error:
        raise RequestError(400, f"Unable to base64 decode: {_excerpt(text)}") from error


def _excerpt(found: Any) -> str:
    text = json.dumps(found)
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."


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


def refusal(error: GraphError) -> RequestError:
    """What a failed run answers."""
    return RequestError(STATUS.get(error.code, 500), str(error))
