"""Requests of TensorFlow Serving's REST interface, without a server.

As TensorFlow Serving 2.15 reads them: its order of checks, its status codes
and the beginnings of its messages.
"""

from __future__ import annotations

import json
import math
from typing import Any

from export.runtime import c_api
from export.runtime.c_api import Signature, Tensor
from export.runtime.c_library import GraphError
from export.server.values import RequestError, excerpt, is_bytes, value_of

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
# Of a request; so many are parsed in half a second.
_MOST_LISTS, _MOST_VALUES = 1_000_000, 8_000_000


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object of a request.

    Raises:
      RequestError: It is none, holds too much, or its signature's name is no text.
    """
    _check_amount(body)
    try:
        text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
        found = json.loads(text, parse_float=_finite)
    except json.JSONDecodeError as error:
        text = f"JSON Parse error: {error.msg} at offset: {error.pos}"
        raise RequestError(400, text) from error
    except (ValueError, RecursionError) as error:
        text = "JSON Parse error: Invalid value. at offset: 0"
        raise RequestError(400, text) from error
    if not isinstance(found, dict):
        raise RequestError(400, f"JSON Value: {excerpt(found)} Is not object")
    if not isinstance(found.get("signature_name", ""), str):
        raise RequestError(400, "'signature_name' key must be a string value")
    return found


def _check_amount(body: bytes) -> None:
    """Refuses what would take long to parse, during which nobody else is heard.

    Counts the characters that lists, objects and values come with; in base64 there are
    none of them.
    """
    for most, what, signs in (
        (_MOST_LISTS, "lists and objects", (b"[", b"{")),
        (_MOST_VALUES, "values", (b",",)),
    ):
        if sum(map(body.count, signs)) > most:
            raise RequestError(413, f"A request must have at most {most:,} {what}")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"Number too big: {digits[:64]}")
    return number


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
    request: dict[str, Any], signature: Signature, most_rows: int
) -> tuple[dict[str, c_api.Value], int | None]:
    """What a signature is to be fed.

    Args:
      request: As `parse` gives it.
      signature: What it asks.
      most_rows: More are refused, before they are converted.

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
        _check_rows(rows, most_rows)
        columns = _columns_of_rows(rows, signature.inputs)
        return _filled(columns, signature.inputs), len(rows)
    if "inputs" in request:
        columns = _columns(request["inputs"], signature.inputs)
        for column in columns.values():
            _check_rows(column, most_rows)
        return _filled(columns, signature.inputs), None
    raise RequestError(400, "Missing 'inputs' or 'instances' key")


def _check_rows(rows: Any, most: int) -> None:
    if isinstance(rows, list) and len(rows) > most:
        text = f"A request must have at most {most} rows. Received: {len(rows)}"
        raise RequestError(400, text)


def _columns_of_rows(rows: Any, inputs: dict[str, Tensor]) -> dict[str, Any]:
    if not isinstance(rows, list):
        text = f"Expecting 'instances' value to be an array. Received: {excerpt(rows)}"
        raise RequestError(400, text)
    if not rows:
        raise RequestError(400, "No values in 'instances' array")
    named = isinstance(rows[0], dict) and not is_bytes(rows[0])
    if not named and len(inputs) > 1:
        text = "instances is a plain list, but expecting list of objects as multiple "
        raise RequestError(400, text + "input tensors required as per signature")
    if not named:
        return {next(iter(inputs)): rows}
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or is_bytes(row):
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
    if isinstance(found, dict) and not is_bytes(found):
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
    return {name: value_of(columns[name], inputs[name].dtype) for name in columns}


def refusal(error: GraphError) -> RequestError:
    """What a failed run answers."""
    return RequestError(STATUS.get(error.code, 500), str(error))
