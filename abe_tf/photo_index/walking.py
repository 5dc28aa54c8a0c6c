"""Which files lie below the folders of an index, and which of them are to be read."""

from __future__ import annotations

import csv
import dataclasses
import os
import sqlite3

from abe_tf.data import photos
from abe_tf.errors import InputError
from abe_tf.photo_index.database import NAME

_INDEX = "an index"
NO_LABELS, BY_FOLDER = "none", "folders"


@dataclasses.dataclass(frozen=True)
class Found:
    """A file that lies there.

    Attributes:
      path: As the system has it.
      size: Bytes.
      mtime_ns: When it was changed last, nanoseconds since 1970.
      label: What kind it shows; `None` where nothing tells.
    """

    path: bytes
    size: int
    mtime_ns: int
    label: str | None


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
    root: Root, database: sqlite3.Connection
) -> tuple[list[Found], list[photos.LeftOut]]:
    """The photos below a root, and what else lies there.

    Files that the database knows, of the same size and time, are not opened.

    Returns:
      The photos, and what is left out, as of `photos.find`.

    Raises:
      InputError: The root is away, or a folder in it cannot be read.
    """
    known = _known(root, database)
    labels = _labels(root)
    found: list[Found] = []
    left_out: list[photos.LeftOut] = []
    for path, status in _files(root, left_out):
        place = os.fsencode(path)
        is_known = known.get(place) == (status.st_size, status.st_mtime_ns)
        reason = None if is_known else photos.why_not(path)
        if reason is None:
            label = labels.get(place) if labels is not None else _folder(root, path)
            found.append(Found(place, status.st_size, status.st_mtime_ns, label))
        else:
            left_out.append(photos.LeftOut(path, reason))
    return found, left_out


def _known(root: Root, database: sqlite3.Connection) -> dict[bytes, tuple[int, int]]:
    rows = below(database, root, "path, size, mtime_ns", "gone IS NULL")
    return {path: (size, mtime) for path, size, mtime in rows}


def below(
    database: sqlite3.Connection, root: Root, columns: str, condition: str = "1"
) -> sqlite3.Cursor:
    """Rows of the photos below a root, or of the file that it is."""
    # Paths are bytes: all that begin so lie between it and its successor.
    end = root.prefix[:-1] + bytes([root.prefix[-1] + 1])
    return database.execute(
        f"SELECT {columns} FROM photo WHERE {condition} AND "
        "((path >= ? AND path < ?) OR path = ?)",
        (root.prefix, end, os.fsencode(root.path)),
    )


def _files(root: Root, left_out: list) -> list[tuple[str, os.stat_result]]:
    try:
        if os.path.isfile(root.path):
            return [(root.path, os.stat(root.path))]
        found = []
        for path in photos.files(root.path, left_out, set(), _why_no_folder):
            if os.path.basename(path).startswith("."):
                left_out.append(photos.LeftOut(path, photos.HIDDEN))
                continue
            try:
                found.append((path, os.stat(path)))
            except OSError as error:
                # A link to nothing; or it went while the folder was looked through.
                reason = f"cannot be read ({error.strerror})"
                left_out.append(photos.LeftOut(path, reason))
        return found
    except OSError as error:
        raise InputError(
            "Each folder of photos must be readable. "
            f"Received: {error.filename!r}: {error.strerror}. Mend it, or leave the "
            "folder out."
        ) from error


def _why_no_folder(path: str) -> str | None:
    """Why a folder is not entered: thumbnails of an index are no photos."""
    return _INDEX if os.path.exists(os.path.join(path, NAME)) else None


def _folder(root: Root, path: str) -> str | None:
    if root.labels != BY_FOLDER:
        return None
    first, *rest = os.path.relpath(path, root.path).split(os.sep)
    return photos.normalised(first) if rest else None


def _labels(root: Root) -> dict[bytes, str | None] | None:
    """Labels by path, where a file states them; `None` where folders or nothing do.

    Raises:
      InputError: The file is missing, or no such list.
    """
    if root.labels in (NO_LABELS, BY_FOLDER):
        return None
    try:
        with open(root.labels, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"--labels must be a CSV file that can be read. Received: {root.labels!r}: "
            f"{error}."
        ) from error
    found: dict[bytes, str | None] = {}
    folder = root.path if os.path.isdir(root.path) else os.path.dirname(root.path)
    for number, row in enumerate(rows, 2):
        path, label = row.get("path"), row.get("label")
        if not path or label is None:
            raise InputError(
                "--labels must have the columns path and label in each row. "
                f"Received: {root.labels}, line {number}: {list(row.values())}."
            )
        place = os.fsencode(os.path.normpath(os.path.join(folder, path)))
        found[place] = photos.normalised(label) or None
    return found
