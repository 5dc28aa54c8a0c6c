"""What training tells of a run beside its weights: metrics.jsonl and run.json."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

from abe_tf.errors import InputError
from abe_tf.storage.files import read_lines, write_atomically


def cut_metrics(path: str, step: int) -> None:
    """Takes out of metrics.jsonl what a session wrote after its last checkpoint.

    Args:
      path: Path of the file, which may be missing.
      step: The last step that stays.
    """
    if os.path.isfile(path):
        kept = "".join(f"{line}\n" for line in _up_to(_lines(path), step))
        write_atomically(path, kept)


def read_metrics(path: str) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; a last one that a killed run tore is left out.

    Raises:
      InputError: Another line is none.
    """
    lines = _lines(path)
    reports = []
    for number, line in enumerate(lines, 1):
        try:
            reports.append(_object(line))
        except ValueError as error:
            if number == len(lines):
                break
            raise InputError(
                "metrics.jsonl must hold an object of JSON a line. Received: "
                f"{path!r}, line {number}: {error}. Remove that line."
            ) from error
    return reports


def read_record(path: str) -> dict[str, Any]:
    """What run.json says of the machine; empty where there is none.

    Raises:
      InputError: It is no object of JSON.
    """
    try:
        return _object("\n".join(_lines(path)) or "{}")
    except ValueError as error:
        raise InputError(
            "run.json must be what training wrote. "
            f"Received: {path!r}: {error}. Remove it: it is only shown."
        ) from error


def _lines(path: str) -> list[str]:
    return read_lines(path) if os.path.isfile(path) else []


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("no object")  # noqa: TRY004  (as of what is no JSON)
    return value


def _up_to(lines: Sequence[str], step: int) -> Iterator[str]:
    """Lines of JSON whose step is no later; one that is none is passed over."""
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            if _object(line)["step"] <= step:
                yield line
