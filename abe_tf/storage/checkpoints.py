"""How checkpoints lie in a folder: one folder each, complete or not there.

CHECKPOINTS/step-200/weights.index, weights.data-00000-of-00001
CHECKPOINTS/incomplete-...  being written, or left by a process that was killed
"""

from __future__ import annotations

import contextlib
import os
import re

from abe_tf.storage import folders

_NAME = re.compile(r"step-(\d+)")


def steps(folder: str) -> list[int]:
    """Steps of the complete checkpoints, in order."""
    with contextlib.suppress(FileNotFoundError):
        matches = [_NAME.fullmatch(name) for name in os.listdir(folder)]
        return sorted(int(match[1]) for match in matches if match)
    return []


def path(folder: str, step: int) -> str:
    """A checkpoint's own folder."""
    return os.path.join(folder, f"step-{step}")


def prefix(checkpoint: str) -> str:
    """What TensorFlow calls a checkpoint: the beginning of its files' names."""
    return os.path.join(checkpoint, "weights")


def publish(beside: str, step: int) -> str:
    """Gives a checkpoint that is written its name.

    One of the same step gives way: a run that was killed between two checkpoints comes
    by the same step again.

    Args:
      beside: What `folders.incomplete` gave, with all files in it.
      step: Step of the checkpoint.

    Returns:
      Its path.

    Raises:
      OSError: The disk does not take it.
    """
    final = path(os.path.dirname(beside), step)
    folders.replace(beside, final)
    return final


def remove(folder: str, step: int) -> None:
    """Takes a checkpoint away, at once."""
    folders.remove(path(folder, step))
