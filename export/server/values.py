"""Values of a request as JSON has them, for the inputs of a signature."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from export.runtime import c_api

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
# As many as NumPy has.
_MOST_DIMENSIONS = 32
# Types that take integers of 32 bits and keep the lowest 8.
_WRAPPING = (4, 6)


class RequestError(Exception):
    """A request that is refused.

    Attributes:
      status: HTTP's code.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def value_of(found: Any, dtype: int) -> c_api.Value:
    """What an input is fed.

    Args:
      found: As JSON has it: a number, a text, an object of bytes, or nested lists.
      dtype: TensorFlow's number of the input's type.

    Raises:
      RequestError: It is ragged, too deep, or holds what is not of the type.
    """
    shape: list[int] = []
    inner = found
    while isinstance(inner, list):
        shape.append(len(inner))
        inner = inner[0] if inner else None
    read = _READERS.get(dtype)
    if read is None:
        raise RequestError(400, f"Tensors of type {dtype} are not supported")
    if len(shape) > _MOST_DIMENSIONS:
        text = f"Tensors must have at most {_MOST_DIMENSIONS} dimensions"
        raise RequestError(400, f"{text}. {excerpt(found)}")
    flat: list[Any] = []
    _flatten(found, shape, read, _PLAIN.get(dtype, _never), flat)
    if dtype == c_api.STRING:
        if len(shape) == 1:
            return flat
        texts = np.empty(len(flat), object)
        texts[:] = flat
        return texts.reshape(shape)
    kind = c_api.NUMBERS[dtype]
    if dtype in _WRAPPING:
        # As the server's own conversion to fewer bits does.
        return np.array(flat, np.int64).astype(kind).reshape(shape)
    try:
        return np.array(flat, kind).reshape(shape)
    except OverflowError as error:
        text = f"JSON Value: {excerpt(found)} is not of expected type: {_NAMES[dtype]}"
        raise RequestError(400, text) from error


def _flatten(
    found: Any,
    shape: Sequence[int],
    read: Callable[[Any], Any],
    is_plain: Callable[[list[Any]], bool],
    flat: list[Any],
) -> None:
    if not shape:
        if isinstance(found, list):
            text = f"Encountered list at unexpected level. {excerpt(found)}"
            raise RequestError(400, text)
        flat.append(read(found))
        return
    if not isinstance(found, list) or len(found) != shape[0]:
        text = f"Expecting tensor size: {shape[0]} but got other. {excerpt(found)}"
        raise RequestError(400, text)
    if len(shape) == 1 and is_plain(found):
        # Millions of numbers one by one would take seconds.
        flat.extend(found)
        return
    for one in found:
        _flatten(one, shape[1:], read, is_plain, flat)


def _plain(kinds: set[type], bits: int = 0) -> Callable[[list[Any]], bool]:
    """Whether a list holds nothing but values of some types, within so many bits."""

    def fits(row: list[Any]) -> bool:
        if not row or not set(map(type, row)) <= kinds:
            return False
        return not bits or -(2 ** (bits - 1)) <= min(row) <= max(row) < 2 ** (bits - 1)

    return fits


def _never(_: list[Any]) -> bool:
    return False


def _reader(name: str, fits: Callable[[Any], bool]) -> Callable[[Any], Any]:
    def read(found: Any) -> Any:
        if not fits(found):
            text = f"JSON Value: {excerpt(found)} is not of expected type: {name}"
            raise RequestError(400, text)
        return found

    return read


def _read_text(found: Any) -> bytes:
    if isinstance(found, str):
        return found.encode("utf-8", "surrogatepass")
    if is_bytes(found):
        return _decode(found["b64"])
    text = f"JSON Value: {excerpt(found)} is not of expected type: string"
    raise RequestError(400, text)


def _is_number(found: Any) -> bool:
    return isinstance(found, (int, float)) and not isinstance(found, bool)


def _is_integer(bits: int) -> Callable[[Any], bool]:
    def fits(found: Any) -> bool:
        whole = isinstance(found, int) and not isinstance(found, bool)
        return whole and -(2 ** (bits - 1)) <= found < 2 ** (bits - 1)

    return fits


_READERS: dict[int, Callable[[Any], Any]] = {
    **{dtype: _reader(_NAMES[dtype], _is_number) for dtype in (1, 2)},
    **{dtype: _reader(_NAMES[dtype], _is_integer(32)) for dtype in (3, 4, 6)},
    9: _reader(_NAMES[9], _is_integer(64)),
    10: _reader("bool", lambda found: isinstance(found, bool)),
    c_api.STRING: _read_text,
}


# Lists that need not be read value by value, which is for the others and their errors.
_PLAIN: dict[int, Callable[[list[Any]], bool]] = {
    **dict.fromkeys((1, 2), _plain({int, float})),
    **dict.fromkeys((3, 4, 6), _plain({int}, 32)),
    9: _plain({int}, 64),
    10: _plain({bool}),
}


def is_bytes(found: Any) -> bool:
    """It counts as bytes only where `b64` is the only key."""
    return isinstance(found, dict) and list(found) == ["b64"]


def _decode(text: Any) -> bytes:
    if not isinstance(text, str):
        raise RequestError(400, f"JSON Value: {excerpt(text)} is not a string")
    try:
        # Most come without white space and with their padding.
        return base64.b64decode(text, validate=True)
    except ValueError:
        bare = re.sub(r"\s+", "", text).rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except ValueError as error:
        raise RequestError(400, f"Unable to base64 decode: {excerpt(text)}") from error


def excerpt(found: Any) -> str:
    """The beginning of a value, for a message."""
    text = ""
    # In parts: it may be large, or nested more deeply than all of it could be written.
    for part in json.JSONEncoder().iterencode(found):
        text += part
        if len(text) > _EXCERPT:
            return text[:_EXCERPT] + "..."
    return text
