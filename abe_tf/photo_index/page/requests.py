"""What the page may ask, read with care: bodies are of strangers until checked."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

from abe_tf.config.index import FilterConfig, SureConfig
from abe_tf.errors import InputError
from abe_tf.photo_index.reading import Box

_TOKEN = re.compile(r"[0-9a-f]{32}")
# Photos of one question, ticked photos of one request, hits of one answer.
_MOST_QUERIES, _MOST_TICKED, _MOST_HITS = 20, 10_000, 1_000
_LONGEST_TEXT = 4096
# Of numbers that SQLite holds.
_LARGEST = 2**63 - 1


class RefusedError(Exception):
    """A request that is not answered.

    Args:
      status: HTTP status.
      text: Why, for people.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Example:
    """A photo that is meant, or not: of the index, or uploaded.

    Attributes:
      number: Number of a photo of the index; `None` for one that was uploaded.
      token: Token of an uploaded one.
      box: The part that is meant, in pixels of the upright image; all where `None`.
    """

    number: int | None
    token: str | None
    box: Box | None


@dataclasses.dataclass(frozen=True)
class Question:
    """What is searched."""

    like: list[Example]
    unlike: list[Example]
    asked: FilterConfig
    count: int
    kinds: int | None


def parsed(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
      RefusedError: The body is none.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "a request must be JSON") from error
    if not isinstance(value, dict):
        raise RefusedError(400, "a request must be a JSON object")
    return value


def question(body: bytes) -> Question:
    """Reads a search.

    Raises:
      RefusedError: It is none.
    """
    asked = parsed(body)
    count = asked.get("count", 60)
    if not _is_whole(count) or not 1 <= count <= _MOST_HITS:
        raise RefusedError(400, f"count must be 1 to {_MOST_HITS}")
    like, unlike = (_examples(asked.get(name, []), name) for name in ("like", "unlike"))
    chosen = _filter(asked.get("filter", {}))
    return Question(like, unlike, chosen, count, sure(asked).kinds)


def sure(asked: dict[str, Any]) -> SureConfig:
    """Reads how sure a pair must be, and how many kinds there are.

    Raises:
      RefusedError: It is none.
    """
    names = ("kinds", "precision", "max_distance")
    kinds, precision, distance = map(asked.get, names)
    if kinds is not None and not _is_whole(kinds):
        raise RefusedError(400, "kinds must be a whole number")
    for name, value in (("precision", precision), ("max_distance", distance)):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (is_number and abs(value) < _LARGEST):
            raise RefusedError(400, f"{name} must be a number")
    try:
        return SureConfig(kinds, precision, distance)
    except InputError as error:
        raise RefusedError(400, str(error).replace("--", "")) from error


def pair(body: bytes) -> tuple[Example, int]:
    """Reads what is asked to be explained: an example, and a photo of the index.

    Raises:
      RefusedError: It is none.
    """
    asked = parsed(body)
    return _example(asked.get("like")), photo_number(asked.get("photo"))


def _examples(values: Any, name: str) -> list[Example]:
    if not isinstance(values, list) or len(values) > _MOST_QUERIES:
        raise RefusedError(400, f"{name} must be a list of at most {_MOST_QUERIES}")
    return [_example(value) for value in values]


def _example(value: Any) -> Example:
    if not isinstance(value, dict):
        raise RefusedError(400, "an example must be an object")
    number, token, box = (value.get(name) for name in ("photo", "upload", "box"))
    if (number is None) == (token is None):
        raise RefusedError(400, "an example must be a photo or an upload")
    if number is not None:
        number = photo_number(number)
    elif not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise RefusedError(400, "an upload must be told by its token")
    return Example(number, token, None if box is None else _box(box))


def photo_number(value: Any) -> int:
    """The number of a photo.

    Raises:
      RefusedError: It is none.
    """
    if not _is_whole(value) or not 0 <= value <= _LARGEST:
        raise RefusedError(400, "a photo must be told by its number")
    return value


def _box(value: Any) -> Box:
    fits = isinstance(value, list) and len(value) == 4
    if not fits or not all(isinstance(x, int | float) for x in value):
        raise RefusedError(400, "a box must be four numbers")
    left, top, right, bottom = map(float, value)
    if not (0 <= left < right <= 1e6 and 0 <= top < bottom <= 1e6):
        raise RefusedError(400, "a box must be left, top, right, bottom in pixels")
    return left, top, right, bottom


def _filter(value: Any) -> FilterConfig:
    if not isinstance(value, dict):
        raise RefusedError(400, "a filter must be an object")
    texts = {name: value.get(name) or None for name in ("folder", "since", "until")}
    labels = value.get("label") or []
    if not isinstance(labels, list) or len(labels) > _MOST_QUERIES:
        raise RefusedError(400, f"label must be a list of at most {_MOST_QUERIES}")
    for text in (*texts.values(), *labels):
        if text is not None:
            checked_text(text)
    try:
        return FilterConfig(label=tuple(labels), **texts)
    except InputError as error:
        raise RefusedError(400, str(error)) from error


def checked_text(value: Any) -> str:
    """A text that may go into the database.

    Raises:
      RefusedError: It is none, or too long.
    """
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or "\0" in value:
        raise RefusedError(400, f"a text must have at most {_LONGEST_TEXT} characters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RefusedError(400, "a text must be Unicode") from error
    return value


def ticked(body: bytes) -> tuple[list[int], dict[str, Any]]:
    """Numbers of photos, and what else a request says.

    Raises:
      RefusedError: It is no such request.
    """
    asked = parsed(body)
    values = asked.get("photos")
    if not isinstance(values, list) or not 1 <= len(values) <= _MOST_TICKED:
        raise RefusedError(400, f"photos must be a list of 1 to {_MOST_TICKED}")
    return [photo_number(value) for value in values], asked


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
