"""Writes what was read of files into an index, batch by batch."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Mapping, Sequence

import numpy as np

from abe_tf.layout import Layout
from abe_tf.photo_index import database, thumbnails, vectors
from abe_tf.photo_index.contents import Kept
from abe_tf.photo_index.walking import Found

_INSERT = (
    "INSERT INTO photo (path, size, mtime_ns, content, reason, label) "
    "VALUES (:path, :size, :mtime, :content, :reason, :label)"
)
_REPLACE = (
    "UPDATE photo SET path = :path, size = :size, mtime_ns = :mtime, "
    "content = :content, reason = :reason, label = :label, gone = NULL WHERE id = :id"
)


@dataclasses.dataclass
class Tally:
    """What an update has changed: photos, by what happened to them.

    Where more than a tenth of those that were present are gone, they are `missing`: the
    index keeps them until somebody says that it is so.
    """

    unchanged: int = 0
    added: int = 0
    changed: int = 0
    moved: int = 0
    gone: int = 0
    missing: int = 0
    present: int = 0
    broken: list[tuple[bytes, str]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Read:
    """A file that was read.

    Attributes:
      file: Where it lies.
      digest: Digest of its bytes; `None` where they cannot be had.
      bytes: Number of its bytes.
      photo: What to keep of it; `None` where its content is known, or cannot be read.
      reason: Why it cannot be read.
    """

    file: Found
    digest: bytes | None = None
    bytes: int = 0
    photo: Kept | None = None
    reason: str | None = None


class Writer:
    """Writes to an index.

    Args:
      folder: Folder of the index, whose lock is held.
      connection: Its database, open for writing.

    Attributes:
      contents: Numbers of the contents that are known, by digest.
    """

    def __init__(self, folder: str, connection: sqlite3.Connection) -> None:
        self._folder, self._database = folder, connection
        self.contents: dict[bytes, int] = {}

    def know(self, with_broken: bool) -> None:
        """Looks up which contents are known.

        Args:
          with_broken: Whether those are that could not be read.
        """
        known = "row IS NOT NULL" + (" OR reason > ''" if with_broken else "")
        self.contents = dict(
            self._database.execute(f"SELECT digest, id FROM content WHERE {known}")
        )

    def commit(
        self,
        batch: Sequence[Read],
        embeddings: Mapping[bytes, np.ndarray],
        lost: dict[int, list[int]],
        tally: Tally,
        progress: dict[str, float] | None = None,
    ) -> None:
        """Writes a batch, whole or not at all.

        Args:
          batch: What was read.
          embeddings: Learner embeddings of what is new in it, by digest.
          lost: Numbers of photos that are away, by content: of these, files of the same
            content are the new places, and are taken out.
          tally: Is added to.
          progress: What the index states of how far it is.
        """
        about = database.about(self._database)
        rows = about["rows"]
        place = {digest: rows + number for number, digest in enumerate(embeddings)}
        if embeddings:
            new = np.stack(list(embeddings.values()))
            rows = vectors.append(
                self._folder, about["generation"], rows, new, Layout.of(about)
            )
        small = {
            read.digest: read.photo.thumbnail
            for read in batch
            if read.digest is not None
            and read.photo is not None
            and read.photo.thumbnail is not None
            and read.digest in embeddings
        }
        with database.transaction(self._database):
            thumbnails.write(self._database, small)
            database.tell(self._database, {"rows": rows, "progress": progress})
            for read in batch:
                if read.digest is not None and read.digest not in self.contents:
                    content = self._write_content(read, place.get(read.digest))
                    self.contents[read.digest] = content
                self._write_photo(read, lost, tally)

    def _write_content(self, read: Read, row: int | None) -> int:
        """Adds a content, or what was not known of it; its number."""
        photo = read.photo
        values = (
            *(read.digest, row, read.reason, read.bytes),
            *((photo.width, photo.height) if photo else (None, None)),
            *((photo.header.time, photo.header.camera) if photo else (None, None)),
        )
        # A content is there without a row where it could not be read before.
        (number,) = self._database.execute(
            "INSERT INTO content "
            "(digest, row, reason, bytes, width, height, taken, camera) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET "
            "row = excluded.row, reason = excluded.reason, width = excluded.width, "
            "height = excluded.height, taken = excluded.taken, "
            "camera = excluded.camera RETURNING id",
            values,
        ).fetchone()
        return number

    def _write_photo(
        self, read: Read, lost: dict[int, list[int]], tally: Tally
    ) -> None:
        file = read.file
        content = None if read.digest is None else self.contents[read.digest]
        values = {
            "path": file.path,
            "size": file.size,
            "mtime": file.mtime_ns,
            "content": content,
            "label": file.label,
            "reason": None if read.digest is not None else read.reason,
        }
        known = self._database.execute(
            "SELECT id, gone FROM photo WHERE path = :path", values
        ).fetchone()
        moved = lost.get(content) if content is not None else None
        if known:
            number = known["id"]
            tally.changed += known["gone"] is None
            tally.added += known["gone"] is not None
        elif moved:
            number = moved.pop()
            tally.moved += 1
        else:
            number = None
            tally.added += 1
        self._database.execute(
            _INSERT if number is None else _REPLACE, {"id": number, **values}
        )
        reason = read.reason or self._reason(content)
        if reason:
            tally.broken.append((file.path, reason))

    def _reason(self, content: int | None) -> str | None:
        row = self._database.execute(
            "SELECT reason FROM content WHERE id = ?", (content,)
        ).fetchone()
        return row["reason"] if row else None
