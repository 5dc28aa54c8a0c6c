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
from export.server.values import (
    RequestError,
    excerpt,
    is_bytes,
    shape_of,
    value_of,
)

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
        value = json.loads(text, parse_float=_finite, object_pairs_hook=_first)
    except json.JSONDecodeError as error:
        text = f"JSON Parse error: {error.msg} at offset: {error.pos}"
        raise RequestError(400, text) from error
    except (ValueError, RecursionError) as error:
        text = "JSON Parse error: Invalid value. at offset: 0"
        raise RequestError(400, text) from error
    if not isinstance(value, dict):
        raise RequestError(400, f"JSON Value: {excerpt(value)} Is not object")
    if not isinstance(value.get("signature_name", ""), str):
        text = f"JSON Value: {excerpt(value)} not formatted correctly. "
        raise RequestError(400, text + "'signature_name' key must be a string value.")
    return value


def _first(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of equal keys the first counts."""
    members = dict(pairs)
    if len(members) < len(pairs):
        members = dict(reversed(pairs))
    return members


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
) -> tuple[dict[str, c_api.Value], bool]:
    """What a signature is to be fed.

    Args:
      request: The request, as returned by `parse`.
      signature: What it asks.
      most_rows: More are refused, before they are converted.

    Returns:
      Values by input, and whether they came in row form.

    Raises:
      RequestError: They do not fit the signature.
    """
    inputs = signature.inputs
    if not inputs:
        name = request.get("signature_name") or "DEFAULT"
        text = f"Failed to get input map for signature: {name}"
        raise RequestError(400, text)
    if "instances" in request and "inputs" in request:
        text = f"JSON Value: {excerpt(request)} Not formatted correctly expecting only "
        text += "one of 'inputs' or 'instances' keys to exist "
        raise RequestError(400, text)
    if "instances" in request:
        rows = _rows(request, most_rows)
        if not isinstance(rows[0], dict) and len(inputs) > 1:
            text = "instances is a plain list, but expecting list of objects as "
            text += "multiple input tensors required as per tensorinfo_map"
            raise RequestError(400, text)
        try:
            columns = _columns_of_rows(rows, inputs)
            return _filled(columns, inputs), True
        except RequestError:
            # All at once is fast; element by element is how the server tells of it.
            _explain(rows, inputs)
            raise
    if "inputs" in request:
        columns = _columns(request["inputs"], inputs)
        for column in columns.values():
            _check_rows(column, most_rows)
        return _filled(columns, inputs), False
    raise RequestError(400, "Missing 'inputs' or 'instances' key")


def _rows(request: dict[str, Any], most: int) -> list[Any]:
    rows = request["instances"]
    if not isinstance(rows, list):
        text = f"JSON Value: {excerpt(request)} Excepting 'instances' to be an "
        raise RequestError(400, text + "list/array")
    if not rows:
        text = f"JSON Value: {excerpt(request)} No values in 'instances' array"
        raise RequestError(400, text)
    _check_rows(rows, most)
    return rows


def _check_rows(rows: Any, most: int) -> None:
    if isinstance(rows, list) and len(rows) > most:
        text = f"A request must have at most {most} rows. Received: {len(rows)}"
        raise RequestError(400, text)


def _is_named(row: Any) -> bool:
    return isinstance(row, dict) and not is_bytes(row)


def _columns_of_rows(
    rows: list[Any], inputs: dict[str, Tensor]
) -> dict[str, list[Any]]:
    if not _is_named(rows[0]):
        return {next(iter(inputs)): rows}
    if not all(_is_named(row) and row.keys() == inputs.keys() for row in rows):
        raise RequestError(400, "The elements of 'instances' must name all inputs")
    return {key: [row[key] for row in rows] for key in inputs}


def _explain(rows: list[Any], inputs: dict[str, Tensor]) -> None:
    """Raises what the server says of the first element that does not fit."""
    named, shapes = _is_named(rows[0]), dict[str, list[int]]()
    for number, row in enumerate(rows):
        if named != _is_named(row):
            what = ("object", "list") if named else ("value/list", "object")
            text = f"Expecting {what[0]} but got {what[1]} at item {number} of input "
            raise RequestError(400, text + "list")
        items = row if named else {next(iter(inputs)): row}
        for key, value in items.items():
            try:
                _check_item(key, value, inputs, shapes)
            except RequestError as error:
                which = f"{number} key: {key}" if named else f"{number}"
                text = f"Failed to process element: {which} of 'instances' list."
                raise error.within(text) from error
        if items.keys() != inputs.keys():
            text = f"Failed to process element: {number} of 'instances' list. JSON "
            text += f"object: {excerpt(row)} keys must be equal to: "
            raise RequestError(400, text + ",".join(sorted(inputs)))


def _check_item(
    key: str, value: Any, inputs: dict[str, Tensor], shapes: dict[str, list[int]]
) -> None:
    if key not in inputs:
        text = f"JSON object: does not have named input: {key}"
        raise RequestError(400, text)
    shape = shape_of(value)
    value_of(value, inputs[key].dtype)
    usual = shapes.setdefault(key, shape)
    sizes = math.prod(usual), math.prod(shape)
    if sizes[0] != sizes[1]:
        text = f"Expecting tensor size: {sizes[0]} but got: {sizes[1]}"
        raise RequestError(400, text)
    if usual != shape:
        told = ["[" + ",".join(map(str, one)) + "]" for one in (usual, shape)]
        raise RequestError(400, f"Expecting shape {told[0]} but got: {told[1]}")


def _columns(value: Any, inputs: dict[str, Tensor]) -> dict[str, Any]:
    if _is_named(value):
        for key in inputs:
            if key not in value:
                text = f"Missing named input: {key} in 'inputs' object."
                raise RequestError(400, text)
        return {key: value[key] for key in inputs}
    if len(inputs) > 1:
        text = "inputs is a plain value/list, but expecting an object as multiple "
        raise RequestError(400, text + "input tensors required as per tensorinfo_map")
    return {next(iter(inputs)): value}


def _filled(
    columns: dict[str, Any], inputs: dict[str, Tensor]
) -> dict[str, c_api.Value]:
    return {name: value_of(columns[name], inputs[name].dtype) for name in columns}


def refusal(error: GraphError) -> RequestError:
    """What a failed run answers."""
    return RequestError(STATUS.get(error.code, 500), str(error))
