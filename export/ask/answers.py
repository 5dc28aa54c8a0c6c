"""What a server answered: printed, checked, written."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from types import TracebackType
from typing import Any

import numpy as np

from abe_tf.errors import InputError
from abe_tf.storage.files import writing
from export.ask.client import Answer, Refused
from export.ask.errors import printable

_EXCERPT = 60
_MOST_SHAPES = 16
# Names of outputs that an .npz file or its writer has another use for.
_TAKEN = ("ids", "file")

# Shapes of an answer's arrays by name, each with whether it is text.
Shapes = tuple[tuple[str, tuple[int, ...], bool], ...]


class _Alike:
    """Answers of the same shapes; numbers lie on disk until they are written.

    Args:
      shapes: Theirs.
      folder: Where the numbers lie, under no name.
    """

    def __init__(self, shapes: Shapes, folder: str) -> None:
        self.shapes = shapes
        self.paths: list[str] = []
        self.excerpts: list[str] = []
        self._texts: dict[str, list[Any]] = {
            name: [] for name, _, is_text in shapes if is_text
        }
        self._files = {
            name: tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed by close)
            for name, _, is_text in shapes
            if not is_text
        }

    def add(self, path: str, answer: dict[str, Any], excerpt: str) -> None:
        """Takes one answer, and its beginning for a message."""
        for name, values in self._texts.items():
            values.append(_as_text(answer[name]))
        for name, file in self._files.items():
            file.write(np.asarray(answer[name], np.float32).tobytes())
            file.flush()
        # Last: whatever fails before, this answer is none.
        self.paths.append(path)
        self.excerpts.append(excerpt)

    def arrays(self) -> dict[str, np.ndarray]:
        """All of them, by output."""
        by_name = {"ids": np.array(self.paths)}
        for name, shape, is_text in self.shapes:
            key = f"answer_{name}" if name in _TAKEN else name
            if is_text:
                by_name[key] = np.array(self._texts[name][: len(self.paths)])
            else:
                sides = (len(self.paths), *shape)
                empty = 0 in sides
                by_name[key] = (
                    np.zeros(sides, np.float32)
                    if empty
                    else np.memmap(self._files[name], np.float32, "r", shape=sides)
                )
        return by_name

    def close(self) -> None:
        """Lets go of what lies on disk."""
        for file in self._files.values():
            file.close()


class Answers:
    """Takes what a server answers, prints it, and writes it.

    Args:
      count: Number of images that are asked about.
      printed: Whether answers are printed.
      path: Path of the .npz file to write; `None` writes none.

    Attributes:
      answered: Number of images that have an answer.
      refused: Number of images that have none.
    """

    def __init__(self, count: int, printed: bool, path: str | None = None) -> None:
        self._count, self._printed, self._path = count, printed, path
        self._alike: dict[Shapes, _Alike] = {}
        self.answered = self.refused = 0

    def __enter__(self) -> Answers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for alike in self._alike.values():
            alike.close()

    def take(self, answer: Answer | Refused) -> None:
        """Takes the answer about one image; one that is no array counts as refused.

        Raises:
          InputError: The disk is full.
        """
        if isinstance(answer, Refused):
            self._refuse(answer)
        elif (shapes := _shapes(answer[1])) is None or self._is_too_many(shapes):
            self._refuse(Refused(answer[0], f"answered with {_excerpt(answer[1])}"))
        else:
            self.answered += 1
            if self._printed:
                line = {"id": answer[0], "answer": answer[1]}
                print(json.dumps(line, default=_as_json))
            if self._path is not None:
                self._keep(shapes, *answer)
        if sys.stderr.isatty():
            done = self.answered + self.refused
            print(f"\r{done}/{self._count}", end="", file=sys.stderr)

    def _is_too_many(self, shapes: Shapes) -> bool:
        """Whether answers come in more shapes than any model has."""
        return shapes not in self._alike and len(self._alike) >= _MOST_SHAPES

    def _keep(self, shapes: Shapes, path: str, answer: Any) -> None:
        folder = os.path.dirname(self._path or "") or "."
        try:
            alike = self._alike.get(shapes)
            if alike is None:
                alike = self._alike[shapes] = _Alike(shapes, folder)
            alike.add(path, _named(answer), _excerpt(answer))
        except OSError as error:
            raise InputError(
                "--npy must lie where there is room for the answers. "
                f"Received: {self._path!r}: {error.strerror}."
            ) from error

    def write(self) -> None:
        """Writes the .npz file: ids, and an array for each output.

        Answers of another shape than most have cannot stand in one array with them, and
        count as refused.

        Raises:
          InputError: The file cannot be written.
        """
        if self._path is None or not self._alike:
            return
        by_number = sorted(self._alike.values(), key=lambda one: -len(one.paths))
        for alike in by_number[1:]:
            for path, told in zip(alike.paths, alike.excerpts, strict=True):
                self.answered -= 1
                text = f"answered with {told}, of another shape than most"
                self._refuse(Refused(path, text))
        with writing(self._path) as file:
            np.savez(file, **by_number[0].arrays())

    def _refuse(self, refused: Refused) -> None:
        self.refused += 1
        text = printable(f"refused: {refused.path}: {refused.reason}")
        print(text, file=sys.stderr)


def _as_text(value: Any) -> Any:
    """Text of an answer; over gRPC it comes as bytes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (list, np.ndarray)):
        return [_as_text(one) for one in value]
    return value


def _named(answer: Any) -> dict[str, Any]:
    return answer if isinstance(answer, dict) else {"answers": answer}


def _as_json(value: Any) -> Any:
    return (
        value.decode("utf-8", "replace") if isinstance(value, bytes) else value.tolist()
    )


def _shapes(answer: Any) -> Shapes | None:
    """Shapes of an answer; `None` where it is not made of numbers or text."""
    shapes = []
    for name, value in sorted(_named(answer).items()):
        try:
            array = np.array(value)
        except (ValueError, RecursionError):  # ragged, or too deep
            return None
        if array.dtype == object and all(isinstance(t, bytes) for t in array.ravel()):
            array = array.astype("S")
        if array.dtype.kind not in "biufUS":
            return None
        shapes.append((name, array.shape, array.dtype.kind in "US"))
    return tuple(shapes) or None


def _excerpt(answer: Any) -> str:
    text = json.dumps(_beginning(answer), default=_as_json)
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."


def _beginning(answer: Any) -> Any:
    """What an excerpt can hold, of an answer that may be large."""
    if isinstance(answer, dict):
        return {name: _beginning(answer[name]) for name in list(answer)[:_EXCERPT]}
    if isinstance(answer, (list, np.ndarray)):
        return [_beginning(one) for one in answer[:_EXCERPT]]
    return answer
