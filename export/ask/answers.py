"""What a server answered: printed, checked, written."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from abe_tf.storage.files import writing
from export.ask.client import Refused

_EXCERPT = 60


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
        self._shapes: dict[str, tuple[int, ...]] | None = None
        self.answered: list[tuple[str, Any]] = []
        self.refused = 0

    def take(self, answer: tuple[str, Any] | Refused) -> None:
        """Takes the answer about one image; one that is no array counts as refused."""
        if not isinstance(answer, Refused):
            shapes = _shapes(answer[1])
            self._shapes = self._shapes or shapes
            if shapes is None or shapes != self._shapes:
                answer = Refused(
                    answer[0],
                    f"answered with {_excerpt(answer[1])}, no numbers or text of the "
                    "others' shape",
                )
        if isinstance(answer, Refused):
            self.refused += 1
            print(f"refused: {answer.path}: {answer.reason}", file=sys.stderr)
            return
        self.answered.append(answer)
        if self._printed:
            print(json.dumps({"id": answer[0], "answer": answer[1]}))
        if sys.stderr.isatty():
            done = len(self.answered) + self.refused
            print(f"\r{done}/{self._count}", end="", file=sys.stderr)

    def write(self, path: str) -> None:
        """Writes an .npz file: ids, and an array for each output."""
        arrays = {"ids": np.array([one for one, _ in self.answered])}
        several = isinstance(self.answered[0][1], dict)
        for name in self._shapes or {}:
            values = [value[name] if several else value for _, value in self.answered]
            array = np.array(values)
            is_text = array.dtype.kind == "U"
            arrays[name] = array if is_text else array.astype(np.float32)
        with writing(path) as file:
            np.savez(file, **arrays)


def _shapes(answer: Any) -> dict[str, tuple[int, ...]] | None:
    """Shapes of an answer's arrays by name; `None` where it is not made of arrays."""
    values = answer if isinstance(answer, dict) else {"answers": answer}
    shapes = {}
    for name, value in values.items():
        try:
            array = np.array(value)
        except ValueError:  # ragged
            return None
        if array.dtype.kind not in "biufU":
            return None
        shapes[name] = (*array.shape, array.dtype.kind == "U")
    return shapes


def _excerpt(answer: Any) -> str:
    text = json.dumps(answer)
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."
