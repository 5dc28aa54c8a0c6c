"""Thumbnails by content: moved and renamed photos keep theirs.

They lie in the database, since a file of its own for each costs a tenth of what
embedding costs; before, they were files in a folder, which are still read.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Mapping

_FOLDER = "thumbnails"
_TABLE = (
    "CREATE TABLE IF NOT EXISTS thumbnail (digest BLOB PRIMARY KEY, jpeg BLOB NOT NULL)"
)


def prepare(database: sqlite3.Connection) -> None:
    """Makes room for thumbnails in an index that has none yet."""
    database.execute(_TABLE)


def write(database: sqlite3.Connection, thumbnails: Mapping[bytes, bytes]) -> None:
    """Keeps JPEG files by content, within a transaction."""
    database.executemany(
        "INSERT OR REPLACE INTO thumbnail VALUES (?, ?)", thumbnails.items()
    )


def read(database: sqlite3.Connection, folder: str, digest: bytes) -> bytes | None:
    """The thumbnail of a content, a JPEG file; `None` where there is none.

    Args:
      database: Database of the index.
      folder: Folder of the same index.
      digest: The content.
    """
    has_table = database.execute(
        "SELECT 1 FROM sqlite_master WHERE name = 'thumbnail'"
    ).fetchone()
    if has_table:
        row = database.execute(
            "SELECT jpeg FROM thumbnail WHERE digest = ?", (digest,)
        ).fetchone()
        if row:
            return row[0]
    name = digest.hex()
    with (
        contextlib.suppress(OSError),
        open(os.path.join(folder, _FOLDER, name[:2], f"{name}.jpg"), "rb") as file,
    ):
        return file.read()
    return None
