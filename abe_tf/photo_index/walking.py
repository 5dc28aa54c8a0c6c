"""Which files lie below the folders of an index, and which of them are to be read."""

from __future__ import annotations

import dataclasses
import os
import sqlite3

from abe_tf.data import photos, tables
from abe_tf.errors import InputError
from abe_tf.photo_index.database import NAME

_INDEX = "an index"
NO_LABELS, BY_FOLDER = "none", "folders"


@dataclasses.dataclass(frozen=True)
class Found:
    """A file that lies there.

    Attributes:
      path: Path as the system has it.
      size: Bytes.
      mtime_ns: When it was changed last, nanoseconds since 1970.
      label: What kind it shows; `None` where nothing tells.
    """

    path: bytes
    size: int
    mtime_ns: int
    label: str | None

    def is_as(self, row: sqlite3.Row | None) -> bool:
        """Whether an index has it just so, and need not open it."""
        if row is None or row["gone"] is not None:
            return False
        return (row["size"], row["mtime_ns"]) == (self.size, self.mtime_ns)


@dataclasses.dataclass(frozen=True)
class Root:
    """A folder, or a single file, that an index holds.

    Attributes:
      path: Absolute.
      labels: "folders", "none" or the path of a CSV file.
    """

    path: str
    labels: str

    @property
    def prefix(self) -> bytes:
        """What the paths of all files below it begin with."""
        return os.fsencode(os.path.join(self.path, ""))


def find(
    root: Root, known: dict[bytes, sqlite3.Row]
) -> tuple[list[Found], list[photos.LeftOut]]:
    """The photos below a root, and what else lies there.

    Files that are known, of the same size and time, are not opened.

    Args:
      root: The folder, or the file.
      known: What the index has, as returned by `known`.

    Returns:
      The photos, and what is left out, as of `photos.find`.

    Raises:
      InputError: The root is away, or a folder in it cannot be read.
    """
    names = photos.Names("labels")
    labels = _labels(root, names)
    lying: list[Found] = []
    left_out: list[photos.LeftOut] = []
    for path, status in _files(root, left_out):
        place = os.fsencode(path)
        label = labels.get(place) if labels is not None else _folder(root, path, names)
        one = Found(place, status.st_size, status.st_mtime_ns, label)
        reason = None if one.is_as(known.get(place)) else photos.why_not(path)
        if reason is None:
            lying.append(one)
        else:
            left_out.append(photos.LeftOut(path, reason))
    names.tell()
    return lying, left_out


def known(root: Root, database: sqlite3.Connection) -> dict[bytes, sqlite3.Row]:
    """The photos of an index below a root, or the file that it is, by path."""
    # Paths are bytes: all that begin so lie between it and its successor.
    end = root.prefix[:-1] + bytes([root.prefix[-1] + 1])
    rows = database.execute(
        "SELECT id, path, size, mtime_ns, content, label, gone, reason FROM photo "
        "WHERE (path >= ? AND path < ?) OR path = ?",
        (root.prefix, end, os.fsencode(root.path)),
    )
    return {row["path"]: row for row in rows}


def _files(root: Root, left_out: list) -> list[tuple[str, os.stat_result]]:
    try:
        if os.path.isfile(root.path):
            return [(root.path, os.stat(root.path))]
        files = []
        for path in photos.files(root.path, left_out, set(), why_no_folder):
            if os.path.basename(path).startswith("."):
                left_out.append(photos.LeftOut(path, photos.HIDDEN))
                continue
            try:
                files.append((path, os.stat(path)))
            except OSError as error:
                # A link to nothing; or it went while the folder was looked through.
                reason = f"cannot be read ({error.strerror})"
                left_out.append(photos.LeftOut(path, reason))
        return files
    except OSError as error:
        raise InputError(
            "Each folder of photos must be readable. "
            f"Received: {error.filename!r}: {error.strerror}. Mend it, or leave the "
            "folder out."
        ) from error


def why_no_folder(path: str) -> str | None:
    """Why a folder is not entered: thumbnails of an index are no photos."""
    return _INDEX if os.path.exists(os.path.join(path, NAME)) else None


def _folder(root: Root, path: str, names: photos.Names) -> str | None:
    if root.labels != BY_FOLDER:
        return None
    first, *rest = os.path.relpath(path, root.path).split(os.sep)
    return names(first) if rest else None


def _labels(root: Root, names: photos.Names) -> dict[bytes, str | None] | None:
    """Labels by path, where a file states them; `None` where folders or nothing do.

    Raises:
      InputError: The file is missing, or no such list.
    """
    if root.labels in (NO_LABELS, BY_FOLDER):
        return None
    _, rows = tables.rows(root.labels, "labels")
    labels: dict[bytes, str | None] = {}
    folder = root.path if os.path.isdir(root.path) else os.path.dirname(root.path)
    for number, row in rows:
        path, label = row.get("path"), row.get("label")
        if not path or label is None:
            raise InputError(
                "--labels must have the columns path and label in each row. "
                f"Received: {root.labels}, line {number}: {list(row.values())}."
            )
        place = os.fsencode(os.path.normpath(os.path.join(folder, path)))
        labels[place] = names(label) or None
    return labels
