"""What was measured of a run: results.json, by split and checkpoint.

{"format": 2, "results": {"test/step-400": {...}, "validation/step-400": {...}}}

Keyed so, nobody can take figures of the test classes for those of the validation
classes, or of one checkpoint for another's.
"""

from __future__ import annotations

import json
import os
from typing import Any

from abe_tf.errors import InputError
from abe_tf.storage.files import write_atomically
from abe_tf.storage.locks import LOCK, locked

_FORMAT = 2


def key(split: str, checkpoint: str) -> str:
    """What a measurement is filed under.

    Args:
      split: "test", "validation" or "train".
      checkpoint: Its name, such as "step-400".
    """
    return f"{split}/{checkpoint}"


def read(path: str) -> dict[str, dict[str, Any]]:
    """All that was measured, by `key`; empty where nothing was.

    The flat file that was written before, of one measurement, is read too.

    Raises:
      InputError: The file is damaged, or of a later format.
    """
    if not os.path.isfile(path):
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        if "format" not in content:
            return _from_flat(content)
        results = content["results"] if content["format"] == _FORMAT else None
        for name, one in (results or {}).items():
            if "ensemble" not in one.keys():  # noqa: SIM118  (of no object an error)
                raise ValueError(f"no recall in {name!r}")  # noqa: TRY301
    except (
        *(ValueError, KeyError, TypeError),
        *(AttributeError, RecursionError),
    ) as error:
        raise InputError(
            "results.json must be what abe_tf.evaluate wrote. "
            f"Received: {path!r}: {error}. Remove it and evaluate again."
        ) from error
    if not isinstance(results, dict):
        raise InputError(
            f"results.json must be of format {_FORMAT}. Received: {path!r} of format "
            f"{content['format']}. Use the version of abe_tf that wrote it."
        )
    return results


def add(path: str, measured: dict[str, Any], in_short: dict[str, Any]) -> None:
    """Files measurements beside those that are there.

    Args:
      path: Path of results.json.
      measured: By `key`; they replace older ones.
      in_short: By `key`, recall alone: filed only where there is nothing yet.

    Raises:
      InputError: The file is damaged, or cannot be written.
    """
    # Two evaluations of one run may end at once; neither shall lose the other's.
    try:
        with locked(os.path.join(os.path.dirname(path), LOCK)):
            results = {**in_short, **read(path), **measured}
            content = {"format": _FORMAT, "results": results}
            write_atomically(path, json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise InputError(
            "The run folder must be one that can be written. "
            f"Received: {path!r}: {error.strerror}."
        ) from error


def _from_flat(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Of the file that held one measurement, and another checkpoint's in short."""
    split = content["split"]
    short = content.get("by_checkpoint", {}).values()
    results = {key(split, one["checkpoint"]): one for one in short}
    whole = {name: value for name, value in content.items() if name != "by_checkpoint"}
    return {**results, key(split, content["checkpoint"]): whole}
