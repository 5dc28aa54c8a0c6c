"""What an index knows of its photos, in SQLite.

INDEX/photo_index.sqlite  files, contents, labels: the truth; and thumbnails, which are
                          derived (`thumbnails.py`)
INDEX/vectors/            learner embeddings and their codes (`vectors.py`)
INDEX/writer.lock         held by the process that brings it up to date

A content is what bytes are: its embedding and its thumbnail are its own, wherever files
of these bytes lie. A file that is gone keeps its row, with the time when it was missed.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import uuid
from collections.abc import Iterator
from typing import Any

from abe_tf.errors import InputError
from abe_tf.layout import Layout

# The second is of learners that differ in size or length, which programs that know
# the first alone would misread.
_FORMATS = (1, 2)
NAME = "photo_index.sqlite"
# Seconds that a reader or writer waits for another one.
_PATIENCE = 60

_SCHEMA = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE root (path BLOB PRIMARY KEY, labels TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE content (
  id INTEGER PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,
  row INTEGER UNIQUE,
  next_row INTEGER UNIQUE,
  reason TEXT,
  width INTEGER,
  height INTEGER,
  bytes INTEGER NOT NULL,
  taken REAL,
  camera TEXT,
  user_label TEXT,
  files INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE photo (
  id INTEGER PRIMARY KEY,
  path BLOB NOT NULL UNIQUE,
  size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  content INTEGER REFERENCES content,
  reason TEXT,
  label TEXT,
  gone REAL
);
CREATE INDEX photo_by_content ON photo (content);
CREATE INDEX photo_by_label ON photo (label);
CREATE INDEX content_without_files ON content (row) WHERE files = 0;
CREATE INDEX content_by_user_label ON content (user_label);
CREATE TRIGGER photo_added AFTER INSERT ON photo BEGIN
  UPDATE content SET files = files + (new.gone IS NULL) WHERE id = new.content;
END;
CREATE TRIGGER photo_changed AFTER UPDATE OF content, gone ON photo BEGIN
  UPDATE content SET files = files - (old.gone IS NULL) WHERE id = old.content;
  UPDATE content SET files = files + (new.gone IS NULL) WHERE id = new.content;
END;
"""
# Of a content: row, the place of its embedding (NULL: it cannot be read, and `reason`
# says why); next_row, the same while all are embedded anew; taken, seconds since 1970
# by the camera's clock; files, how many lie there now. Of a photo: reason, why not even
# its bytes can be had.


def format_of(layout: Layout) -> int:
    """The format of an index of such learners."""
    return _FORMATS[not layout.is_equal]


def create(folder: str, about: dict[str, Any]) -> None:
    """Makes the database of a new index.

    Args:
      folder: Folder of the index, which exists.
      about: What the index states of itself.

    Raises:
      InputError: It cannot be written.
    """
    path = os.path.join(folder, NAME)
    beside = f"{path}.{uuid.uuid4().hex}.new"
    try:
        with (
            translated(folder),
            contextlib.closing(sqlite3.connect(beside)) as database,
        ):
            # Killed before the renaming, it is nothing that anybody takes for an index.
            database.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
            with database:
                tell(database, {"format": _FORMATS[0], **about})
            database.execute("PRAGMA journal_mode=WAL")
        with translated(folder):
            os.replace(beside, path)
    finally:
        with contextlib.suppress(OSError):
            os.remove(beside)


@contextlib.contextmanager
def opened(folder: str, write: bool = False) -> Iterator[sqlite3.Connection]:
    """The database of an index.

    Args:
      folder: Folder of the index.
      write: Whether to write; a reader sees what was committed last.

    Raises:
      InputError: It is none, of a later format, broken, or cannot be written.
    """
    path = os.path.join(folder, NAME)
    if not os.path.isfile(path):
        raise InputError(
            f"--index must be the folder of an index. Received: {folder!r}, without "
            f"{NAME}. Make it with python -m abe_tf.index, or correct the path."
        )
    with translated(folder):
        database = sqlite3.connect(
            _address(path, write), uri=True, timeout=_PATIENCE, isolation_level=None
        )
    with contextlib.closing(database), translated(folder):
        database.row_factory = sqlite3.Row
        _check_format(folder, database)
        if write:
            database.execute("PRAGMA synchronous=FULL")
        yield database


def _address(path: str, write: bool) -> str:
    quoted = "file:" + path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    if write:
        return f"{quoted}?mode=rw"
    # Readers of a database that is being written keep a file beside it; where nobody
    # can write, nobody does.
    readable_alone = not os.access(os.path.dirname(path) or ".", os.W_OK)
    return f"{quoted}?mode=ro" + ("&immutable=1" if readable_alone else "")


def about(database: sqlite3.Connection) -> dict[str, Any]:
    """What an index states of itself."""
    rows = database.execute("SELECT key, value FROM about")
    return {key: json.loads(value) for key, value in rows}


def tell(database: sqlite3.Connection, values: dict[str, Any]) -> None:
    """Has the index state something of itself, within a transaction."""
    rows = [(key, json.dumps(value)) for key, value in values.items()]
    database.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", rows)


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All that is written inside, or nothing."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


@contextlib.contextmanager
def reading(database: sqlite3.Connection) -> Iterator[None]:
    """Inside, all that is read is of one moment."""
    database.execute("BEGIN")
    try:
        yield
    finally:
        database.execute("ROLLBACK")


def _check_format(folder: str, database: sqlite3.Connection) -> None:
    number = about(database).get("format")
    if number not in _FORMATS:
        raise InputError(
            f"--index must be of format {max(_FORMATS)} or older. Received: "
            f"{folder!r} of format {number}. Use the version of abe_tf that made it, "
            "or make another."
        )


@contextlib.contextmanager
def translated(folder: str) -> Iterator[None]:
    """Says in one line what SQLite or the system says.

    Raises:
      InputError: An index is broken, or cannot be read or written.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise InputError(
            f"--index must be an index that can be read and, to bring it up to date, "
            f"written. Received: {folder!r}: {error}. What was committed is kept."
        ) from error
    except OSError as error:
        raise InputError(
            f"--index must be a folder that can be read and, to bring it up to date, "
            f"written. Received: {error.filename or folder!r}: "
            f"{error.strerror or error}. What was committed is kept."
        ) from error
