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

from abe_tf.photo_index import database
from abe_tf.photo_index.batches import embed_padded, in_threads
from abe_tf.photo_index.contents import BrokenPhotoError, content_of, digest_of
from abe_tf.photo_index.progress import Progress
from abe_tf.photo_index.walking import Found
from abe_tf.photo_index.writing import Read, Tally, Writer

if TYPE_CHECKING:
    from abe_tf.photo_index.model import IndexModel
    from abe_tf.photo_index.reading import Photo, PhotoReader

# Of the photos of a root that may be gone without anybody saying so.
_LOST = 0.1
# Files of known contents are committed in portions of so many at most.
_PORTION = 1000


@dataclasses.dataclass(frozen=True)
class _Read(Read):
    """A file that was read, with what the network sees of it."""

    photo: Photo | None = None


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
        self._database, self._model = connection, model
        self._batch_size, self._thumbnail_size = batch_size, thumbnail_size
        self._retry, self._quiet = retry, quiet
        self._reader: PhotoReader | None = None
        self._writer = Writer(folder, connection)
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
        self._writer.know(with_broken=not self._retry)
        progress = Progress(len(due), self._quiet)
        for batch in self._batches(due):
            embeddings = self._embedded(batch)
            progress.count(len(batch))
            self._writer.commit(batch, embeddings, lost, tally, progress.state())
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
        if digest in self._writer.contents:
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
            and read.digest not in self._writer.contents
        }
        embeddings = embed_padded(self._model, list(squares.values()), self._batch_size)
        return dict(zip(squares, embeddings, strict=True))
