"""What an index answers: the same kind of thing as some photos, and unlike others."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import os
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from abe_tf.config.index import FilterConfig, day
from abe_tf.data.photos import readable
from abe_tf.photo_index import database, scan, thumbnails, vectors
from abe_tf.photo_index.vectors import Segment

# So many times the hits that are asked for are looked at where some may be demoted.
_MORE = 4
# What a photo shows, in SQL: what a user has said of its content, or else its folder.
LABEL = "COALESCE(content.user_label, photo.label)"
# Seconds; where clocks are changed it is off by an hour.
_DAY = 24 * 3600
_TIME = "COALESCE(content.taken, photo.mtime_ns / 1e9)"


@dataclasses.dataclass(frozen=True)
class Place:
    """A photo of a content: where it lies.

    Attributes:
      number: Number of the photo in the index.
      path: Path as the system has it.
      label: Its kind; `None` where nothing tells.
      time: When it was taken, or else changed, in seconds since 1970.
    """

    number: int
    path: str
    label: str | None
    time: float


@dataclasses.dataclass(frozen=True)
class Hit:
    """A content that is near, with all photos of it that were asked about.

    Attributes:
      row: Row of its embedding.
      distance: The ensemble distance to the nearest of the photos that are meant.
      learner_distances: `[learners]`, what it is the mean of.
      unlike: Whether it is nearer to what is not meant than to all that is meant.
      places: Its photos, at least one; further ones are copies.
      width: In pixels, upright.
      height: Height, likewise.
      bytes: Size in bytes of the file.
      camera: Its name; `None` where it wrote none.
    """

    row: int
    distance: float
    learner_distances: np.ndarray
    unlike: bool
    places: list[Place]
    width: int
    height: int
    bytes: int
    camera: str | None


class Moment:
    """An index as it was at one moment.

    Args:
      folder: Folder of the index.
      connection: Its database, within `database.reading`.
    """

    def __init__(self, folder: str, connection: sqlite3.Connection) -> None:
        self._folder, self._connection = folder, connection
        self.about = database.about(connection)
        self._segments = vectors.mapped(
            folder, self.about["generation"], self.about["rows"], *self.shape
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Learners, and dimensions of one."""
        return self.about["learners"], self.about["dim"]

    @property
    def segments(self) -> Sequence[Segment]:
        """All embeddings."""
        return self._segments

    def wanted(self, asked: FilterConfig) -> np.ndarray:
        """Which rows have a photo that a filter lets through, `[rows]` bool."""
        rows = self.about["rows"]
        if asked == FilterConfig():
            wanted = np.ones(rows, bool)
            gone = self._connection.execute("SELECT row FROM content WHERE files = 0")
            wanted[[row for (row,) in gone if row is not None]] = False
            return wanted
        wanted = np.zeros(rows, bool)
        condition, values = _condition(asked)
        found = self._connection.execute(
            "SELECT DISTINCT row FROM photo JOIN content ON content.id = photo.content "
            f"WHERE row IS NOT NULL AND {condition}",
            values,
        )
        wanted[[row for (row,) in found]] = True
        return wanted

    def row_of(self, digest: bytes) -> int | None:
        """Where a content's embedding lies; `None` where it has none."""
        found = self._connection.execute(
            "SELECT row FROM content WHERE digest = ?", (digest,)
        ).fetchone()
        return found["row"] if found else None

    def thumbnail_of_row(self, row: int) -> bytes | None:
        """A JPEG file; `None` where it is missing, which may happen."""
        found = self._connection.execute(
            "SELECT digest FROM content WHERE row = ?", (row,)
        ).fetchone()
        return self._thumbnail(found["digest"])

    def thumbnail_of_photo(self, number: int) -> bytes | None:
        """The same of a photo."""
        digest = self._of_photo(number, "digest")
        return None if digest is None else self._thumbnail(digest)

    def _thumbnail(self, digest: bytes) -> bytes | None:
        return thumbnails.read(self._connection, self._folder, digest)

    def row_of_photo(self, number: int) -> int | None:
        """Where the embedding of a photo lies; `None` where it has none."""
        return self._of_photo(number, "row")

    def size_of_photo(self, number: int) -> tuple[int, int] | None:
        """Width and height of a photo; `None` where it could not be read."""
        width, height = (self._of_photo(number, name) for name in ("width", "height"))
        return None if width is None else (width, height)

    def _of_photo(self, number: int, column: str) -> Any:
        found = self._connection.execute(
            f"SELECT {column} FROM photo JOIN content ON content.id = photo.content "
            "WHERE photo.id = ?",
            (number,),
        ).fetchone()
        return found[column] if found else None

    def place(self, number: int) -> Place | None:
        """A photo, gone or not; `None` where there is none of this number."""
        found = self._connection.execute(
            f"SELECT photo.id, path, {LABEL} AS label, {_TIME} AS time FROM photo "
            "LEFT JOIN content ON content.id = photo.content WHERE photo.id = ?",
            (number,),
        ).fetchone()
        return _place(found) if found else None

    def newest(self, count: int, asked: FilterConfig) -> list[Hit]:
        """The contents that were taken last, at no distance."""
        condition, values = _condition(asked)
        found = self._connection.execute(
            "SELECT row FROM photo JOIN content ON content.id = photo.content WHERE "
            f"row IS NOT NULL AND {condition} GROUP BY row "
            f"ORDER BY max({_TIME}) DESC, row LIMIT ?",
            (*values, count),
        ).fetchall()
        nothing = np.zeros(self.shape[0])
        return [self._hit(row, nothing, False, asked) for (row,) in found]

    def embedding(self, row: int) -> np.ndarray:
        """`[learners, dim]` float32, unit length."""
        segment = self._segments[row // vectors.SEGMENT_ROWS]
        return np.asarray(segment.vectors[row - segment.first])

    def search(
        self,
        like: np.ndarray,
        unlike: np.ndarray,
        count: int,
        asked: FilterConfig,
        without: Sequence[int] = (),
        approximately: bool = False,
    ) -> list[Hit]:
        """The nearest contents by ensemble distance, exactly unless told otherwise.

        Args:
          like: `[photos, learners, dim]` float32, what is meant, at least one.
          unlike: Likewise what is not meant; may be empty.
          count: Hits.
          asked: Which photos.
          without: Rows that are no hits.
          approximately: Whether by the graph.

        Returns:
          Nearest first; behind them those that are nearer to what is not meant, where
          there are fewer than `count` of the others.
        """
        wanted = self.wanted(asked)
        wanted[[row for row in without if row < len(wanted)]] = False
        looked_at = count * (_MORE if len(unlike) else 1)
        while True:
            rows = self._nearest(like, looked_at, wanted, approximately)
            found = [self._measured(row, like, unlike) for row in rows]
            kept = [one for one in found if not one[2]]
            if len(kept) >= count or len(rows) < looked_at:
                break
            looked_at *= _MORE
        found = [*kept, *(one for one in found if one[2])][:count]
        return [self._hit(*one, asked) for one in found]

    def _nearest(
        self, like: np.ndarray, count: int, wanted: np.ndarray, approximately: bool
    ) -> list[int]:
        """Rows by their distance to the nearest photo that is meant."""
        nearest = scan.nearest
        if approximately:
            from abe_tf.photo_index import approximate

            generation = self.about["generation"]
            nearest = functools.partial(approximate.nearest, self._folder, generation)
        best: dict[int, float] = {}
        for query in like:
            rows, distances = nearest(self._segments, query, count, wanted)
            for row, distance in zip(rows.tolist(), distances, strict=True):
                best[row] = min(distance, best.get(row, np.inf))
        return sorted(best, key=lambda row: (best[row], row))[:count]

    def _measured(
        self, row: int, like: np.ndarray, unlike: np.ndarray
    ) -> tuple[int, np.ndarray, bool]:
        """A row, its distances to the nearest that is meant, whether that is unlike."""
        embedding = self.embedding(row).astype(np.float64)
        here = np.linalg.norm(like.astype(np.float64) - embedding, axis=-1)
        nearest = here[here.mean(-1).argmin()]
        there = np.linalg.norm(unlike.astype(np.float64) - embedding, axis=-1).mean(-1)
        return row, nearest, bool(np.any(there < nearest.mean()))

    def _hit(
        self, row: int, distances: np.ndarray, unlike: bool, asked: FilterConfig
    ) -> Hit:
        condition, values = _condition(asked)
        found = self._connection.execute(
            f"SELECT photo.id, path, {LABEL} AS label, {_TIME} AS time, width, height, "
            "bytes, camera FROM content JOIN photo ON photo.content = content.id "
            f"WHERE row = ? AND {condition} ORDER BY path",
            (row, *values),
        ).fetchall()
        places = [_place(one) for one in found]
        facts = (found[0][name] for name in ("width", "height", "bytes", "camera"))
        return Hit(row, float(distances.mean()), distances, unlike, places, *facts)


@contextlib.contextmanager
def moment(folder: str) -> Iterator[Moment]:
    """An index as it is now.

        >>> with moment("my_index") as now:
        ...     like, unlike = now.embedding(0)[np.newaxis], np.empty([0, *now.shape])
        ...     hits = now.search(like, unlike, count=1, asked=FilterConfig())
        >>> hits[0].distance
        0.0

    Raises:
      InputError: It cannot be read.
    """
    seen = None
    while True:
        with database.opened(folder) as connection, database.reading(connection):
            generation = database.about(connection)["generation"]
            try:
                now = Moment(folder, connection)
            except FileNotFoundError:
                if generation == seen:
                    raise
                # All was embedded anew since this began, and the old files are gone.
                seen = generation
                continue
            yield now
            return


def _place(row: sqlite3.Row) -> Place:
    return Place(row["id"], os.fsdecode(row["path"]), row["label"], row["time"])


def _condition(asked: FilterConfig) -> tuple[str, list]:
    """What a filter is in SQL, of photos joined with their contents."""
    parts: list[str] = ["photo.gone IS NULL"]
    values: list[bytes | str | float] = []
    if asked.folder:
        prefix = os.fsencode(os.path.join(os.path.abspath(asked.folder), ""))
        parts.append("path >= ? AND path < ?")
        values += [prefix, prefix[:-1] + bytes([prefix[-1] + 1])]
    if asked.label:
        parts.append(f"{LABEL} IN ({', '.join('?' * len(asked.label))})")
        values += map(readable, asked.label)
    if asked.since:
        parts.append(f"{_TIME} >= ?")
        values.append(_midnight(day("since", asked.since)))
    if asked.until:
        parts.append(f"{_TIME} < ?")
        values.append(_midnight(day("until", asked.until)) + _DAY)
    return " AND ".join(parts), values


def _midnight(date: datetime.date) -> float:
    try:
        return datetime.datetime.combine(date, datetime.time()).timestamp()
    except (ValueError, OverflowError):
        # Of years that the system's clock does not know: no photo is of them.
        return float(_DAY * (date - datetime.date(1970, 1, 1)).days)
