"""Where photos lie, which of them a filter lets through, and what a hit is."""

from __future__ import annotations

import dataclasses
import datetime
import os

import numpy as np

from abe_tf.config.index import FilterConfig, day
from abe_tf.data.photos import normalised, readable

# What a photo shows, in SQL: what a user has said of its content, or else its folder.
LABEL = "COALESCE(content.user_label, photo.label)"
# Photos that are there, can be read, and have a kind.
LABELLED = (
    "photo JOIN content ON content.id = photo.content WHERE gone IS NULL "
    f"AND row IS NOT NULL AND {LABEL} IS NOT NULL"
)
# Seconds; where clocks are changed it is off by an hour.
_DAY = 24 * 3600
TIME = "COALESCE(content.taken, photo.mtime_ns / 1e9)"


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
      like: Which of the photos that are meant it is nearest to, from 0.
      unlike: Whether it is nearer to what is not meant than to all that is meant.
      places: Its photos, at least one; further ones are copies.
      width: In pixels, upright.
      height: Height, likewise.
      bytes: Size in bytes of the file.
      camera: Its name; `None` where it wrote none.
      probability: P(same kind) of it and the photo that it is nearest to; `None` where
        nothing tells.
    """

    row: int
    distance: float
    learner_distances: np.ndarray
    like: int
    unlike: bool
    places: list[Place]
    width: int
    height: int
    bytes: int
    camera: str | None
    probability: float | None = None


def condition(asked: FilterConfig) -> tuple[str, list]:
    """What a filter is in SQL, of photos joined with their contents."""
    parts: list[str] = ["photo.gone IS NULL"]
    values: list[bytes | str | float] = []
    if asked.folder:
        prefix = os.fsencode(os.path.join(os.path.abspath(asked.folder), ""))
        parts.append("path >= ? AND path < ?")
        values += [prefix, prefix[:-1] + bytes([prefix[-1] + 1])]
    if asked.label:
        # As labels are stored, and as the page once stored those that were typed.
        labels = {*map(normalised, asked.label), *map(readable, asked.label)}
        parts.append(f"{LABEL} IN ({', '.join('?' * len(labels))})")
        values += sorted(labels)
    if asked.since:
        parts.append(f"{TIME} >= ?")
        values.append(_midnight(day("since", asked.since)))
    if asked.until:
        parts.append(f"{TIME} < ?")
        values.append(_midnight(day("until", asked.until)) + _DAY)
    return " AND ".join(parts), values


def _midnight(date: datetime.date) -> float:
    try:
        return datetime.datetime.combine(date, datetime.time()).timestamp()
    except (ValueError, OverflowError):
        # Of years that the system's clock does not know: no photo is of them.
        return float(_DAY * (date - datetime.date(1970, 1, 1)).days)
