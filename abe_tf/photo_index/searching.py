"""What an index answers: the same kind of thing as some photos, and unlike others."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from abe_tf.config.index import FilterConfig
from abe_tf.layout import Layout
from abe_tf.photo_index import database, scan, thumbnails, vectors
from abe_tf.photo_index.hits import LABEL, LABELLED, TIME, Hit, Place, condition
from abe_tf.photo_index.vectors import Segment

# So many times the hits that are asked for are looked at where some may be demoted.
_MORE = 4


class Moment:
    """An index as it was at one moment.

    Args:
      folder: Folder of the index.
      connection: Its database, within `database.reading`.
    """

    def __init__(self, folder: str, connection: sqlite3.Connection) -> None:
        self._folder, self._connection = folder, connection
        self.about = database.about(connection)
        self.layout = Layout.of(self.about)
        self._segments = vectors.mapped(
            folder, self.about["generation"], self.about["rows"], self.layout
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Learners, and dimensions of one."""
        return self.layout.shape

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
        lets_through, values = condition(asked)
        matching = self._connection.execute(
            "SELECT DISTINCT row FROM photo JOIN content ON content.id = photo.content "
            f"WHERE row IS NOT NULL AND {lets_through}",
            values,
        )
        wanted[[row for (row,) in matching]] = True
        return wanted

    def labels(self) -> dict[str, int]:
        """How many contents there are of each kind, where something tells it."""
        rows = self._connection.execute(
            f"SELECT {LABEL}, count(DISTINCT row) FROM {LABELLED} "
            "GROUP BY 1 ORDER BY 2 DESC, 1"
        )
        return dict(rows.fetchall())

    def labels_of_rows(self) -> dict[int, str]:
        """The kind of each row that has one; of copies that of the first path."""
        rows = self._connection.execute(
            f"SELECT row, {LABEL} FROM {LABELLED} ORDER BY path DESC"
        )
        return dict(rows.fetchall())

    def rows(self) -> np.ndarray:
        """All rows that have a photo, int64, ascending."""
        return np.flatnonzero(self.wanted(FilterConfig()))

    def first_digest(self) -> bytes | None:
        """The digest of the first content that ever was; `None` of an empty index."""
        row = self._connection.execute(
            "SELECT digest FROM content ORDER BY id LIMIT 1"
        ).fetchone()
        return row["digest"] if row else None

    def photos_of_contents(self) -> Iterator[list[sqlite3.Row]]:
        """The photos of each content that has an embedding, by its number."""
        rows = self._connection.execute(
            "SELECT content.id, digest, row, path, content.bytes, mtime_ns, width, "
            f"height, taken, camera, {LABEL} AS label FROM photo "
            "JOIN content ON content.id = photo.content "
            "WHERE gone IS NULL AND row IS NOT NULL ORDER BY content.id, path"
        )
        for _, photos in itertools.groupby(rows, key=lambda row: row["id"]):
            yield list(photos)

    def unreadable(self) -> int:
        """How many photos there are that could not be read, and have no row."""
        (count,) = self._connection.execute(
            "SELECT count(*) FROM photo LEFT JOIN content ON content.id = "
            "photo.content WHERE gone IS NULL AND row IS NULL"
        ).fetchone()
        return count

    def rows_of_several(self) -> np.ndarray:
        """The rows that have several photos: files of the same bytes."""
        rows = self._connection.execute(
            "SELECT row FROM content WHERE files > 1 AND row IS NOT NULL"
        )
        return np.array([row for (row,) in rows], np.int64)

    def photos(self, rows: Iterable[int]) -> list[Hit]:
        """What lies behind some rows, at no distance."""
        nothing = np.zeros(self.shape[0])
        return [self._hit(int(r), nothing, 0, False, FilterConfig()) for r in rows]

    def row_of(self, digest: bytes) -> int | None:
        """Where a content's embedding lies; `None` where it has none."""
        photo = self._connection.execute(
            "SELECT row FROM content WHERE digest = ?", (digest,)
        ).fetchone()
        return photo["row"] if photo else None

    def thumbnail_of_row(self, row: int) -> bytes | None:
        """A JPEG file; `None` where it is missing, which may happen."""
        photo = self._connection.execute(
            "SELECT digest FROM content WHERE row = ?", (row,)
        ).fetchone()
        return self._thumbnail(photo["digest"])

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
        photo = self._connection.execute(
            f"SELECT {column} FROM photo JOIN content ON content.id = photo.content "
            "WHERE photo.id = ?",
            (number,),
        ).fetchone()
        return photo[column] if photo else None

    def place(self, number: int) -> Place | None:
        """A photo, gone or not; `None` where there is none of this number."""
        photo = self._connection.execute(
            f"SELECT photo.id, path, {LABEL} AS label, {TIME} AS time FROM photo "
            "LEFT JOIN content ON content.id = photo.content WHERE photo.id = ?",
            (number,),
        ).fetchone()
        return _place(photo) if photo else None

    def newest(self, count: int, asked: FilterConfig) -> list[Hit]:
        """The contents that were taken last, at no distance."""
        lets_through, values = condition(asked)
        rows = self._connection.execute(
            "SELECT row FROM photo JOIN content ON content.id = photo.content WHERE "
            f"row IS NOT NULL AND {lets_through} GROUP BY row "
            f"ORDER BY max({TIME}) DESC, row LIMIT ?",
            (*values, count),
        ).fetchall()
        nothing = np.zeros(self.shape[0])
        return [self._hit(row, nothing, 0, False, asked) for (row,) in rows]

    def embedding(self, row: int) -> np.ndarray:
        """`[learners, dim]` float32."""
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
            measured = [self._measured(row, like, unlike) for row in rows]
            kept = [one for one in measured if not one[-1]]
            if len(kept) >= count or len(rows) < looked_at:
                break
            looked_at *= _MORE
        measured = [*kept, *(one for one in measured if one[-1])][:count]
        return [self._hit(*one, asked) for one in measured]

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
    ) -> tuple[int, np.ndarray, int, bool]:
        """A row, its distances to the nearest that is meant, which, whether unlike."""
        embedding = self.embedding(row).astype(np.float64)
        here = np.linalg.norm(like.astype(np.float64) - embedding, axis=-1)
        which = int(here.mean(-1).argmin())
        nearest = here[which]
        there = np.linalg.norm(unlike.astype(np.float64) - embedding, axis=-1).mean(-1)
        return row, nearest, which, bool(np.any(there < nearest.mean()))

    def _hit(
        self,
        row: int,
        distances: np.ndarray,
        like: int,
        unlike: bool,
        asked: FilterConfig,
    ) -> Hit:
        lets_through, values = condition(asked)
        photos = self._connection.execute(
            f"SELECT photo.id, path, {LABEL} AS label, {TIME} AS time, width, height, "
            "bytes, camera FROM content JOIN photo ON photo.content = content.id "
            f"WHERE row = ? AND {lets_through} ORDER BY path",
            (row, *values),
        ).fetchall()
        places = [_place(one) for one in photos]
        facts = (photos[0][name] for name in ("width", "height", "bytes", "camera"))
        distance = float(distances.mean())
        return Hit(row, distance, distances, like, unlike, places, *facts)


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
