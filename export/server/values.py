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


def value_of(found: Any, dtype: int) -> c_api.Value:
    """What an input is fed.

    Args:
      found: Value of JSON: a number, a text, an object of bytes, or nested lists.
      dtype: TensorFlow's number of the input's type.

    Raises:
      RequestError: It is ragged, too deep, or holds what is not of the type.
    """
    shape = shape_of(found)
    read = _READERS.get(dtype)
    if read is None:
        read = _unreadable(dtype)
        if 0 in shape:
            read(found)
    if len(shape) > _MOST_DIMENSIONS:
        text = f"Tensors must have at most {_MOST_DIMENSIONS} dimensions"
        raise RequestError(400, f"{text}. {excerpt(found)}")
    flat: list[Any] = []
    _flatten(found, shape, 0, read, _PLAIN.get(dtype, _never), flat)
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


def shape_of(found: Any) -> list[int]:
    """Sizes of nested lists, by the first of each."""
    shape: list[int] = []
    while isinstance(found, list):
        shape.append(len(found))
        found = found[0] if found else None
    return shape


def _flatten(
    found: Any,
    shape: Sequence[int],
    level: int,
    read: Callable[[Any], Any],
    is_plain: Callable[[list[Any]], bool],
    flat: list[Any],
) -> None:
    if not isinstance(found, list):
        if level != len(shape):
            text = f"JSON Value: {excerpt(found)} found at incorrect level: {level + 1}"
            text += f" in the JSON DOM. Expected at level: {len(shape)}"
            raise RequestError(400, text)
        flat.append(read(found))
        return
    if level >= len(shape):
        text = f"Encountered list at unexpected level: {level} expected < {len(shape)}"
        raise RequestError(400, text)
    if len(found) != shape[level]:
        text = f"Encountered list at unexpected size: {len(found)} at level: {level} "
        raise RequestError(400, f"{text}expected size: {shape[level]}")
    if level == len(shape) - 1 and is_plain(found):
        # Millions of numbers one by one would take seconds.
        flat.extend(found)
        return
    for one in found:
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


def _type_error(found: Any, name: str) -> RequestError:
    return RequestError(
        400,
        f"JSON Value: {excerpt(found)} Type: {_json_type(found)} is not of expected "
        f"type: {name}",
    )


def _json_type(found: Any) -> str:
    if found is None:
        return "Null"
    for kind, name in (
        *((bool, "Bool"), ((int, float), "Number"), (str, "String")),
        *((dict, "Object"), (list, "Array")),
    ):
        if isinstance(found, kind):
            return name
    raise TypeError(f"{type(found)} is none of JSON's")


def _reader(dtype: int, fits: Callable[[Any], bool]) -> Callable[[Any], Any]:
    def read(found: Any) -> Any:
        if is_bytes(found):
            found = found["b64"]
        if not fits(found):
            raise _type_error(found, c_api.TYPE_NAMES[dtype])
        return found

    return read


def _decimal_reader(dtype: int) -> Callable[[Any], Any]:
    checked = _reader(dtype, _is_number)

    def read(found: Any) -> Any:
        found = checked(found)
        whole = isinstance(found, int) and -(2**63) <= found < 2**64
        limit = _LOSSLESS[dtype] if whole else _LARGEST[dtype]
        # No number, and none that is endless, loses anything.
        if abs(found) > limit and found not in (np.inf, -np.inf):
            text = f"Cannot convert JSON value: {excerpt(found)} to "
            raise RequestError(
                400, f"{text}{c_api.TYPE_NAMES[dtype]} without loss of precision."
            )
        return found

    return read


def _unreadable(dtype: int) -> Callable[[Any], Any]:
    """For a type that no JSON value is converted to."""

    def read(found: Any) -> Any:
        text = f"Conversion of JSON Value: {excerpt(found)} to type: "
        raise RequestError(501, f"{text}{c_api.TYPE_NAMES.get(dtype, str(dtype))}")

    return read


def _read_text(found: Any) -> bytes:
    if isinstance(found, str):
        return found.encode("utf-8", "surrogatepass")
    if is_bytes(found):
        return _decode(found["b64"])
    if isinstance(found, dict):
        text = f"JSON Value: {excerpt(found)} not formatted correctly for base64 data"
        raise RequestError(400, text)
    raise _type_error(found, "string")


def _is_number(found: Any) -> bool:
    return isinstance(found, (int, float)) and not isinstance(found, bool)


def _is_integer(low: int, high: int) -> Callable[[Any], bool]:
    def fits(found: Any) -> bool:
        whole = isinstance(found, int) and not isinstance(found, bool)
        return whole and low <= found <= high

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
    10: _reader(10, lambda found: isinstance(found, bool)),
    c_api.STRING: _read_text,
}


# Lists that need not be read value by value, which is for the others and their errors.
_PLAIN: dict[int, Callable[[list[Any]], bool]] = {
    **{dtype: _plain({int, float}, -most, most) for dtype, most in _LOSSLESS.items()},
    **{dtype: _plain({int}, *ends) for dtype, ends in _RANGES.items()},
    10: _plain({bool}, False, True),
}


def is_bytes(found: Any) -> bool:
    """It counts as bytes only where `b64` is the only key."""
    return isinstance(found, dict) and list(found) == ["b64"]


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


def excerpt(found: Any) -> str:
    """A value as a message tells it: its beginning, where it is long."""
    if isinstance(found, float):
        return decimal(found)
    text = json.dumps(_beginning(found), ensure_ascii=False, indent=4)
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."


def _beginning(found: Any, depth: int = 0) -> Any:
    """What an excerpt can hold, of a value that may be large or nested deeply."""
    if depth > _EXCERPT // 4:
        return None
    if isinstance(found, dict):
        names = list(itertools.islice(found, _EXCERPT))
        return {name: _beginning(found[name], depth + 1) for name in names}
    if isinstance(found, list):
        return [_beginning(one, depth + 1) for one in found[:_EXCERPT]]
    return found[: 2 * _EXCERPT] if isinstance(found, str) else found


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
