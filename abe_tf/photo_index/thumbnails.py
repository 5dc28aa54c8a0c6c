"""Thumbnails by content: moved and renamed photos keep theirs."""

from __future__ import annotations

import os
import uuid

FOLDER = "thumbnails"


def path_of(folder: str, digest: bytes) -> str:
    """Where the thumbnail of a content lies in an index."""
    name = digest.hex()
    return os.path.join(folder, FOLDER, name[:2], f"{name}.jpg")


def write(folder: str, digest: bytes, content: bytes) -> None:
    """Puts a thumbnail in its place, whole; not synced, since it can be made again.

    Raises:
      OSError: The disk does not take it.
    """
    path = path_of(folder, digest)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    beside = os.path.join(folder, FOLDER, f".{uuid.uuid4().hex}.tmp")
    try:
        with open(beside, "xb") as file:
            file.write(content)
        os.replace(beside, path)
    except BaseException:
        if os.path.exists(beside):
            os.remove(beside)
        raise


def sweep(folder: str) -> None:
    """Takes away what a writer that was killed has left half written."""
    inside = os.path.join(folder, FOLDER)
    for name in os.listdir(inside):
        if name.endswith(".tmp"):
            os.remove(os.path.join(inside, name))
