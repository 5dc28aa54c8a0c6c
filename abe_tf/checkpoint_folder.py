"""How checkpoints lie in a folder: one folder each, complete or not there.

CHECKPOINTS/step-200/weights.index, weights.data-00000-of-00001
CHECKPOINTS/incomplete-...  being written, or left by a process that was killed
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil

from abe_tf.writing import sync

_NAME = re.compile(r"step-(\d+)")
_INCOMPLETE = "incomplete-"


def steps(folder: str) -> list[int]:
    """Steps of the complete checkpoints, in order."""
    with contextlib.suppress(FileNotFoundError):
        found = [_NAME.fullmatch(name) for name in os.listdir(folder)]
        return sorted(int(match[1]) for match in found if match)
    return []


def path(folder: str, step: int) -> str:
    """A checkpoint's own folder."""
    return os.path.join(folder, f"step-{step}")


def prefix(checkpoint: str) -> str:
    """What TensorFlow calls a checkpoint: the beginning of its files' names."""
    return os.path.join(checkpoint, "weights")


def incomplete(folder: str, step: int) -> str:
    """Where a checkpoint of this process is written first."""
    return os.path.join(folder, f"{_INCOMPLETE}{step}-{os.getpid()}")


def clear_incomplete(folder: str) -> None:
    """Removes what a process that was killed has left."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(folder):
            if name.startswith(_INCOMPLETE):
                shutil.rmtree(os.path.join(folder, name))


def publish(beside: str, folder: str, step: int) -> str:
    """Gives a checkpoint that is written its name.

    One of the same step gives way: a run that was killed between two checkpoints comes
    by the same step again.

    Args:
      beside: What `incomplete` gave, with all files in it.
      folder: Of the checkpoints.
      step: Of this one.

    Returns:
      Its path.
    """
    for name in os.listdir(beside):
        sync(os.path.join(beside, name))
    sync(beside)
    final = path(folder, step)
    remove(folder, step)
    os.rename(beside, final)
    sync(folder)
    return final


def remove(folder: str, step: int) -> None:
    """Takes a checkpoint away, at once."""
    aside = f"{incomplete(folder, step)}-old"
    with contextlib.suppress(FileNotFoundError):
        os.rename(path(folder, step), aside)
        shutil.rmtree(aside)
