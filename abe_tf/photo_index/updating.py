"""Brings an index up to date with the files below a root.

What was read is committed batch by batch: a process that is killed at any moment loses
one batch at most, and the same command goes on. Searches see what is committed.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from abe_tf.photo_index import database, thumbnails, vectors
from abe_tf.photo_index.batches import embed_padded, in_threads
from abe_tf.photo_index.contents import BrokenPhotoError, content_of, digest_of
from abe_tf.photo_index.progress import Progress
from abe_tf.photo_index.walking import Found

if TYPE_CHECKING:
    from abe_tf.photo_index.model import IndexModel
    from abe_tf.photo_index.reading import Photo, PhotoReader

# Of the photos of a root that may be gone without anybody saying so.
_LOST = 0.1
# Files of known contents are committed in portions of so many at most.
_PORTION = 1000
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
class _Read:
    """A file that was read.

    Attributes:
      file: Where it lies.
      digest: Digest of its bytes; `None` where they cannot be had.
      bytes: Number of its bytes.
      photo: What is in it; `None` where its content is known, or cannot be read.
      reason: Why it cannot be read.
    """

    file: Found
    digest: bytes | None = None
    bytes: int = 0
    photo: Photo | None = None
    reason: str | None = None


class Updater:
    """Writes to an index.

    Args:
      folder: Folder of the index, whose lock is held.
      connection: Its database, open for writing.
      model: Gives the model of the index; asked at the first photo that needs it.
      batch_size: Photos that are embedded at once.
      thumbnail_size: In pixels.
      retry: Whether to look again at what could not be read.
      quiet: Whether to say nothing of progress.
    """

    def __init__(
        self,
        folder: str,
        connection: sqlite3.Connection,
        model: Callable[[], IndexModel],
        batch_size: int,
        thumbnail_size: int,
        retry: bool = False,
        quiet: bool = False,
    ) -> None:
        self._folder, self._database, self._model = folder, connection, model
        self._batch_size, self._thumbnail_size = batch_size, thumbnail_size
        self._retry, self._quiet = retry, quiet
        self._reader: PhotoReader | None = None
        self._contents: dict[bytes, int] = {}
        self._making = threading.Lock()

    def update(
        self, known: dict[bytes, sqlite3.Row], files: list[Found], prune: bool
    ) -> Tally:
        """Takes in what lies below a root.

        Args:
          known: What the index has of it, as of `walking.known`.
          files: What lies there.
          prune: Whether photos that are gone are forgotten however many they are.
        """
        tally = Tally()
        due = self._due(files, known, tally)
        lying = {one.path for one in files}
        lost: dict[int, list[int]] = collections.defaultdict(list)
        for path, row in known.items():
            if row["gone"] is None and path not in lying:
                lost[row["content"]].append(row["id"])
        present = sum(row["gone"] is None for row in known.values())
        if due:
            self._take_in(due, lost, tally)
        tally.present, tally.gone = present, sum(map(len, lost.values()))
        if tally.gone > _LOST * present and not prune:
            return dataclasses.replace(tally, gone=0, missing=tally.gone)
        now = time.time()
        with database.transaction(self._database):
            self._database.executemany(
                "UPDATE photo SET gone = ? WHERE id = ?",
                [(now, photo) for photos in lost.values() for photo in photos],
            )
        return tally

    def _due(
        self, files: list[Found], known: dict[bytes, sqlite3.Row], tally: Tally
    ) -> list[Found]:
        """The files to read, newest first; labels of the others are set anew."""
        broken = self._broken() if self._retry else set()
        due, labels = [], []
        for one in files:
            row = known.get(one.path)
            if row is None or not one.is_as(row) or row["id"] in broken:
                due.append(one)
                continue
            tally.unchanged += 1
            if row["label"] != one.label:
                labels.append((one.label, row["id"]))
        with database.transaction(self._database):
            self._database.executemany(
                "UPDATE photo SET label = ? WHERE id = ?", labels
            )
        due.sort(key=lambda one: one.mtime_ns, reverse=True)
        return due

    def _broken(self) -> set[int]:
        rows = self._database.execute(
            "SELECT photo.id FROM photo LEFT JOIN content ON content.id = content "
            "WHERE photo.reason IS NOT NULL OR content.reason IS NOT NULL"
        )
        return {photo for (photo,) in rows}

    def _take_in(
        self, due: list[Found], lost: dict[int, list[int]], tally: Tally
    ) -> None:
        unread = "row IS NOT NULL" if self._retry else "row IS NOT NULL OR reason > ''"
        self._contents = dict(
            self._database.execute(f"SELECT digest, id FROM content WHERE {unread}")
        )
        progress = Progress(len(due), self._quiet)
        for batch in self._batches(due):
            embeddings = self._embedded(batch)
            progress.count(len(batch))
            self._commit(batch, embeddings, lost, tally, progress.state())
            progress.tell(len(tally.broken))
        progress.end()

    def _batches(self, due: list[Found]) -> Iterator[list[_Read]]:
        """Files that were read, in order, so many that a batch of photos is new."""
        batch: list[_Read] = []
        new = 0
        for read in in_threads(self._read, due, 2 * self._batch_size):
            if read is None:
                continue
            batch.append(read)
            new += read.photo is not None
            if new == self._batch_size or len(batch) == _PORTION:
                yield batch
                batch, new = [], 0
        if batch:
            yield batch

    def _read(self, file: Found) -> _Read | None:
        try:
            content = content_of(os.fsdecode(file.path))
        except BrokenPhotoError as error:
            if not os.path.lexists(file.path):
                # It went since the folder was looked through; the next update says so.
                return None
            return _Read(file, reason=str(error))
        digest = digest_of(content)
        if digest in self._contents:
            return _Read(file, digest, len(content))
        try:
            photo = self.reader.photo(content)
        except BrokenPhotoError as error:
            return _Read(file, digest, len(content), reason=str(error))
        return _Read(file, digest, len(content), photo)

    @property
    def reader(self) -> PhotoReader:
        """Reads photos for the index's model."""
        from abe_tf.photo_index import reading

        with self._making:
            if self._reader is None:
                preprocessing = self._model().preprocessing
                self._reader = reading.reader(preprocessing, self._thumbnail_size)
            return self._reader

    def _embedded(self, batch: list[_Read]) -> dict[bytes, np.ndarray]:
        """Learner embeddings of what is new in a batch, by content."""
        squares = {
            read.digest: read.photo.square
            for read in batch
            if read.photo is not None
            and read.digest is not None
            # A copy that was read before the batch with the first one was committed:
            # a second row would belong to no content.
            and read.digest not in self._contents
        }
        embeddings = embed_padded(self._model, list(squares.values()), self._batch_size)
        return dict(zip(squares, embeddings, strict=True))

    def _commit(
        self,
        batch: list[_Read],
        embeddings: dict[bytes, np.ndarray],
        lost: dict[int, list[int]],
        tally: Tally,
        progress: dict[str, float] | None,
    ) -> None:
        about = database.about(self._database)
        rows = about["rows"]
        place = {digest: rows + number for number, digest in enumerate(embeddings)}
        if embeddings:
            new = np.stack(list(embeddings.values()))
            rows = vectors.append(self._folder, about["generation"], rows, new)
        small = {
            read.digest: read.photo.thumbnail
            for read in batch
            if read.photo is not None and read.digest in embeddings
        }
        with database.transaction(self._database):
            thumbnails.write(self._database, small)
            database.tell(self._database, {"rows": rows, "progress": progress})
            for read in batch:
                if read.digest is not None and read.digest not in self._contents:
                    content = self._write_content(read, place.get(read.digest))
                    self._contents[read.digest] = content
                self._write_photo(read, lost, tally)

    def _write_content(self, read: _Read, row: int | None) -> int:
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
        self, read: _Read, lost: dict[int, list[int]], tally: Tally
    ) -> None:
        file = read.file
        content = None if read.digest is None else self._contents[read.digest]
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
