"""What a server answered: printed, checked, written."""

from __future__ import annotations

import collections
import json
import sys
from typing import Any

import numpy as np

from abe_tf.storage.files import writing
from export.ask.client import Refused

_EXCERPT = 60
# Names of outputs that an .npz file or its writer has another use for.
_TAKEN = ("ids", "file")

# Shapes of an answer's arrays by name, each with whether it is text.
Shapes = tuple[tuple[str, tuple[int, ...], bool], ...]


class Answers:
    """Takes what a server answers, prints it, and writes it.

    Args:
      count: How many images are asked about.
      printed: Whether answers are printed.

    Attributes:
      answered: Paths and answers, as JSON has them.
      refused: How many images have none.
    """

    def __init__(self, count: int, printed: bool) -> None:
        self._count, self._printed = count, printed
        self.answered: list[tuple[str, Any]] = []
        self.refused = 0

    def take(self, answer: tuple[str, Any] | Refused) -> None:
        """Takes the answer about one image; one that is no array counts as refused."""
        if isinstance(answer, Refused):
            self._refuse(answer)
        elif _shapes(answer[1]) is None:
            self._refuse(Refused(answer[0], f"answered with {_excerpt(answer[1])}"))
        else:
            self.answered.append(answer)
            if self._printed:
                print(json.dumps({"id": answer[0], "answer": answer[1]}))
        if sys.stderr.isatty():
            done = len(self.answered) + self.refused
            print(f"\r{done}/{self._count}", end="", file=sys.stderr)

    def write(self, path: str) -> None:
        """Writes an .npz file: ids, and an array for each output.

        Answers of another shape than most have cannot stand in one array with them, and
        count as refused.

        Raises:
          InputError: The file cannot be written.
        """
        shapes = [_shapes(answer) for _, answer in self.answered]
        ((usual, _),) = collections.Counter(shapes).most_common(1)
        kept = []
        for one, shape in zip(self.answered, shapes, strict=True):
            if shape == usual:
                kept.append(one)
            else:
                text = f"answered with {_excerpt(one[1])}, of another shape than most"
                self._refuse(Refused(one[0], text))
        self.answered = kept
        arrays = {"ids": np.array([path for path, _ in kept])}
        for name, _, is_text in usual or ():
            values = [_named(answer)[name] for _, answer in kept]
            key = f"answer_{name}" if name in _TAKEN else name
            arrays[key] = np.array(values, None if is_text else np.float32)
        with writing(path) as file:
            np.savez(file, **arrays)

    def _refuse(self, refused: Refused) -> None:
        self.refused += 1
        print(f"refused: {refused.path}: {refused.reason}", file=sys.stderr)


def _named(answer: Any) -> dict[str, Any]:
    return answer if isinstance(answer, dict) else {"answers": answer}


def _shapes(answer: Any) -> Shapes | None:
    """Shapes of an answer; `None` where it is not made of numbers or text."""
    found = []
    for name, value in sorted(_named(answer).items()):
        try:
            array = np.array(value)
        except (ValueError, RecursionError):  # ragged, or too deep
            return None
        if array.dtype.kind not in "biufU":
            return None
        found.append((name, array.shape, array.dtype.kind == "U"))
    return tuple(found) or None


def _excerpt(answer: Any) -> str:
    text = json.dumps(answer)
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."
