"""Values of a request as JSON has them, for the inputs of a signature.

What is taken, what is refused and in which words is TensorFlow Serving's, as its
json_tensor.cc has it in 2.15; an excerpt stands for a value that is long.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from export.runtime import c_api

_EXCERPT = 64
# As many as NumPy has.
_MOST_DIMENSIONS = 32
# Types that take integers of 32 bits and keep the lowest ones.
_WRAPPING = (4, 5, 6)
# The largest whole number that a type takes for sure.
_LOSSLESS = {1: 2**24 - 1, 2: 2**53 - 1}
_LARGEST = {1: float(np.finfo(np.float32).max), 2: float(np.finfo(np.float64).max)}
# What an error is called within another one's text.
_CODES = {400: "INVALID_ARGUMENT", 501: "UNIMPLEMENTED"}


class RequestError(Exception):
    """A request that is refused.

    Attributes:
      status: HTTP's code.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    def within(self, before: str) -> RequestError:
        """The same as a part of another text."""
        code = _CODES.get(self.status, "INVALID_ARGUMENT")
        return RequestError(400, f"{before} Error: {code}: {self}")


def value_of(value: Any, dtype: int) -> c_api.Value:
    """What an input is fed.

    Args:
      value: Value of JSON: a number, a text, an object of bytes, or nested lists.
      dtype: TensorFlow's number of the input's type.

    Raises:
      RequestError: It is ragged, too deep, or holds what is not of the type.
    """
    shape = shape_of(value)
    read = _READERS.get(dtype)
    if read is None:
        read = _unreadable(dtype)
        if 0 in shape:
            read(value)
    if len(shape) > _MOST_DIMENSIONS:
        text = f"Tensors must have at most {_MOST_DIMENSIONS} dimensions"
        raise RequestError(400, f"{text}. {excerpt(value)}")
    flat: list[Any] = []
    _flatten(value, shape, 0, read, _PLAIN.get(dtype, _never), flat)
    if dtype == c_api.STRING:
        if len(shape) == 1:
            return flat
        texts = np.empty(len(flat), object)
        texts[:] = flat
        return texts.reshape(shape)
    kind = c_api.NUMBERS.get(dtype, np.float32)
    if dtype in _WRAPPING:
        # As the server's own conversion to fewer bits does.
        return np.array(flat, np.int64).astype(kind).reshape(shape)
    return np.array(flat, kind).reshape(shape)


def shape_of(value: Any) -> list[int]:
    """Sizes of nested lists, by the first of each."""
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return shape


def _flatten(
    value: Any,
    shape: Sequence[int],
    level: int,
    read: Callable[[Any], Any],
    is_plain: Callable[[list[Any]], bool],
    flat: list[Any],
) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            text = f"JSON Value: {excerpt(value)} found at incorrect level: {level + 1}"
            text += f" in the JSON DOM. Expected at level: {len(shape)}"
            raise RequestError(400, text)
        flat.append(read(value))
        return
    if level >= len(shape):
        text = f"Encountered list at unexpected level: {level} expected < {len(shape)}"
        raise RequestError(400, text)
    if len(value) != shape[level]:
        text = f"Encountered list at unexpected size: {len(value)} at level: {level} "
        raise RequestError(400, f"{text}expected size: {shape[level]}")
    if level == len(shape) - 1 and is_plain(value):
        # Millions of numbers one by one would take seconds.
        flat.extend(value)
        return
    for one in value:
        _flatten(one, shape, level + 1, read, is_plain, flat)


def _plain(kinds: set[type], low: float, high: float) -> Callable[[list[Any]], bool]:
    """Whether a list holds nothing but values of some types, within bounds."""

    def fits(row: list[Any]) -> bool:
        if not row or not set(map(type, row)) <= kinds:
            return False
        return low <= min(row) <= max(row) <= high

    return fits


def _never(_: list[Any]) -> bool:
    return False


def _type_error(value: Any, name: str) -> RequestError:
    return RequestError(
        400,
        f"JSON Value: {excerpt(value)} Type: {_json_type(value)} is not of expected "
        f"type: {name}",
    )


def _json_type(value: Any) -> str:
    if value is None:
        return "Null"
    for kind, name in (
        *((bool, "Bool"), ((int, float), "Number"), (str, "String")),
        *((dict, "Object"), (list, "Array")),
    ):
        if isinstance(value, kind):
            return name
    raise TypeError(f"{type(value)} is none of JSON's")


def _reader(dtype: int, fits: Callable[[Any], bool]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if is_bytes(value):
            value = value["b64"]
        if not fits(value):
            raise _type_error(value, c_api.TYPE_NAMES[dtype])
        return value

    return read


def _decimal_reader(dtype: int) -> Callable[[Any], Any]:
    checked = _reader(dtype, _is_number)

    def read(value: Any) -> Any:
        value = checked(value)
        whole = isinstance(value, int) and -(2**63) <= value < 2**64
        limit = _LOSSLESS[dtype] if whole else _LARGEST[dtype]
        # No number, and none that is endless, loses anything.
        if abs(value) > limit and value not in (np.inf, -np.inf):
            text = f"Cannot convert JSON value: {excerpt(value)} to "
            raise RequestError(
                400, f"{text}{c_api.TYPE_NAMES[dtype]} without loss of precision."
            )
        return value

    return read


def _unreadable(dtype: int) -> Callable[[Any], Any]:
    """For a type that no JSON value is converted to."""

    def read(value: Any) -> Any:
        text = f"Conversion of JSON Value: {excerpt(value)} to type: "
        raise RequestError(501, f"{text}{c_api.TYPE_NAMES.get(dtype, str(dtype))}")

    return read


def _read_text(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if is_bytes(value):
        return _decode(value["b64"])
    if isinstance(value, dict):
        text = f"JSON Value: {excerpt(value)} not formatted correctly for base64 data"
        raise RequestError(400, text)
    raise _type_error(value, "string")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_integer(low: int, high: int) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and low <= value <= high

    return fits


_RANGES = {
    **dict.fromkeys((3, *_WRAPPING), (-(2**31), 2**31 - 1)),
    9: (-(2**63), 2**63 - 1),
    22: (0, 2**32 - 1),
    23: (0, 2**64 - 1),
}
_READERS: dict[int, Callable[[Any], Any]] = {
    **{dtype: _decimal_reader(dtype) for dtype in _LOSSLESS},
    **{dtype: _reader(dtype, _is_integer(*ends)) for dtype, ends in _RANGES.items()},
    10: _reader(10, lambda value: isinstance(value, bool)),
    c_api.STRING: _read_text,
}


# Lists that need not be read value by value, which is for the others and their errors.
_PLAIN: dict[int, Callable[[list[Any]], bool]] = {
    **{dtype: _plain({int, float}, -most, most) for dtype, most in _LOSSLESS.items()},
    **{dtype: _plain({int}, *ends) for dtype, ends in _RANGES.items()},
    10: _plain({bool}, False, True),
}


def is_bytes(value: Any) -> bool:
    """It counts as bytes only where `b64` is the only key."""
    return isinstance(value, dict) and list(value) == ["b64"]


def _decode(text: Any) -> bytes:
    if not isinstance(text, str):
        raise _type_error(text, "string")
    try:
        # Most come without white space and with their padding.
        return base64.b64decode(text, validate=True)
    except ValueError:
        bare = re.sub(r"\s+", "", text).rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except ValueError as error:
        raise RequestError(400, "Unable to base64 decode") from error


def excerpt(value: Any) -> str:
    """A value as a message tells it: its beginning, where it is long."""
    if isinstance(value, float):
        return decimal(value)
    text = json.dumps(_beginning(value), ensure_ascii=False, indent=4)
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."


def _beginning(value: Any, depth: int = 0) -> Any:
    """What an excerpt can hold, of a value that may be large or nested deeply."""
    if depth > _EXCERPT // 4:
        return None
    if isinstance(value, dict):
        names = list(itertools.islice(value, _EXCERPT))
        return {name: _beginning(value[name], depth + 1) for name in names}
    if isinstance(value, list):
        return [_beginning(one, depth + 1) for one in value[:_EXCERPT]]
    return value[: 2 * _EXCERPT] if isinstance(value, str) else value


def decimal(number: float, digits: int = 17) -> str:
    """A number as the server writes it: in six digits where that is exact."""
    if number != number:
        return "NaN"
    if number in (np.inf, -np.inf):
        return "Infinity" if number > 0 else "-Infinity"
    text = f"{number:.6g}"
    if float(text) != number:
        text = f"{number:.{digits}g}"
    return text if "." in text or "e" in text else f"{text}.0"
