"""Copies in an index, of the same bytes or pixels, or near, and which to keep.

Nothing is ever deleted here: a list says which photo of each set to keep, and why.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
from collections.abc import Iterator

import numpy as np

from abe_tf.config.data import MAX_PIXELS
from abe_tf.photo_index import vectors
from abe_tf.photo_index.asking import Asker
from abe_tf.photo_index.contents import BrokenPhotoError, content_of, digest_of
from abe_tf.photo_index.hits import Hit, Place
from abe_tf.photo_index.pile.components import Work, components
from abe_tf.photo_index.searching import Moment

BYTES, PIXELS, NEAR = "bytes", "pixels", "near"
# Files of the same pixels are embedded no farther apart, even in bfloat16.
_SAME_PIXELS = 0.02
# Photos that are compared with their own copies, and the share that must be as near.
_SAMPLE, _SHARE = 32, 0.9


@dataclasses.dataclass(frozen=True)
class Copy:
    """A photo of a set.

    Attributes:
      photo: What its content is.
      place: Where it lies.
      kind: What it has in common with the one to keep: `BYTES`, `PIXELS` or `NEAR`.
      distance: Its ensemble distance to that.
    """

    photo: Hit
    place: Place
    kind: str
    distance: float


@dataclasses.dataclass(frozen=True)
class CopySet:
    """Photos of which one may do.

    Attributes:
      photo: What the content of the one to keep is.
      kept: Where that lies.
      reason: Why that one.
      copies: The others, nearest first.
    """

    photo: Hit
    kept: Place
    reason: str
    copies: list[Copy]


def copy_distance(moment: Moment, asker: Asker) -> float:
    """How far photos of an index lie from copies of themselves, at most.

    Some are made half as large and saved as JPEG; 9 of 10 lie no farther from what
    they were.

    Args:
      moment: The index.
      asker: Holds its model.

    Raises:
      BrokenPhotoError: None of the photos lies where it was, as it was.
      InputError: The model cannot be had.
    """
    rows = moment.rows()
    measured: list[float] = []
    for row in rows[:: max(1, len(rows) // _SAMPLE)]:
        (photo,) = moment.photos([row])
        content = _content(moment, photo)
        if content is None:
            continue
        longer = max(*asker.reader.sides, max(photo.width, photo.height) // 2)
        smaller = asker.reader.thumbnail(content, longer)
        embedding, _ = asker.embed(moment, smaller)
        was = moment.embedding(row)[np.newaxis]
        measured += vectors.distances(was, embedding).tolist()
    if not measured:
        raise BrokenPhotoError("none of the index's photos lies where it was")
    # So that whoever is told it can ask for the same.
    return round(float(np.quantile(measured, _SHARE, method="higher")), 4)


def reach(limit: float) -> float:
    """The distance up to which photos are compared for copies within a limit."""
    return max(limit, _SAME_PIXELS)


class Copies:
    """The copies in an index.

    Args:
      moment: The index.
      limit: Ensemble distance, to the one that is kept, of photos that count as near; 0
        for none.
      work: Where the comparison of all pairs keeps how far it is.

    Attributes:
      not_compared: Paths of photos that are gone, were changed since they were indexed
        or are too large, so that nobody knows whether their pixels are another's.
    """

    def __init__(self, moment: Moment, limit: float, work: Work) -> None:
        self._moment, self._limit, self._work = moment, limit, work
        self._digest = functools.lru_cache(2)(self._digest_of_pixels)
        self.not_compared: set[str] = set()

    def sets(self) -> Iterator[CopySet]:
        """Sets of two photos and more, the largest components first."""
        moment, rows = self._moment, self._moment.rows()
        if not len(rows):
            return
        joined = components(moment.segments, rows, reach(self._limit), self._work)
        _, inverse, sizes = np.unique(joined, return_inverse=True, return_counts=True)
        several = np.isin(rows, moment.rows_of_several())
        order = np.argsort(inverse, kind="stable")
        ends = np.cumsum(sizes)
        for number in np.argsort(-sizes, kind="stable"):
            members = order[ends[number] - sizes[number] : ends[number]]
            if len(members) > 1 or several[members[0]]:
                yield from self._sets(rows[members])

    def _sets(self, rows: np.ndarray) -> Iterator[CopySet]:
        """The sets of rows that hang together: each is near the one that is kept."""
        photos = sorted(self._moment.photos(rows), key=_preference)
        embeddings = vectors.gather(
            self._moment.segments, np.array([photo.row for photo in photos])
        )
        left = np.arange(len(photos))
        while len(left):
            kept, others = photos[left[0]], left[1:]
            distances = vectors.distances(embeddings[others], embeddings[left[0]])
            near, is_copy = [], np.zeros(len(others), bool)
            for place in np.flatnonzero(distances <= reach(self._limit)):
                other, distance = photos[others[place]], float(distances[place])
                kind = self._kind(kept, other, distance)
                if kind is not None:
                    near.append((other, kind, distance))
                    is_copy[place] = True
            if near or len(kept.places) > 1:
                yield _set(kept, near)
            left = others[~is_copy]

    def _kind(self, kept: Hit, other: Hit, distance: float) -> str | None:
        """What two contents have in common; `None` for nothing."""
        same_size = (kept.width, kept.height) == (other.width, other.height)
        if same_size and distance <= _SAME_PIXELS:
            one, two = self._digest(kept.row), self._digest(other.row)
            if one is not None and one == two:
                return PIXELS
        return NEAR if self._limit > 0 and distance <= self._limit else None

    def _digest_of_pixels(self, row: int) -> bytes | None:
        """Tells the upright pixels of a row from others."""
        from abe_tf.photo_index.reading import pixels_of

        (photo,) = self._moment.photos([row])
        content = _content(self._moment, photo)
        bound = self._moment.about.get("max_pixels", MAX_PIXELS)
        # Of an index of before, which may hold larger ones.
        with contextlib.suppress(BrokenPhotoError):
            if content is not None:
                return hashlib.sha256(pixels_of(content, bound).tobytes()).digest()
        self.not_compared.add(photo.places[0].path)
        return None


def _content(moment: Moment, photo: Hit) -> bytes | None:
    """The bytes of a photo as it was indexed; `None` where no file has them now."""
    for place in photo.places:
        with contextlib.suppress(BrokenPhotoError):
            content = content_of(place.path)
            if moment.row_of(digest_of(content)) == photo.row:
                return content
    return None


def _set(kept: Hit, near: list[tuple[Hit, str, float]]) -> CopySet:
    places = _by_age(kept)
    listed = [Copy(kept, place, BYTES, 0.0) for place in places[1:]]
    for photo, kind, distance in sorted(near, key=lambda one: one[2]):
        listed += [Copy(photo, place, kind, distance) for place in photo.places]
    others = [photo for photo, *_ in near]
    return CopySet(kept, places[0], _reason(kept, others), listed)


def _by_age(photo: Hit) -> list[Place]:
    return sorted(photo.places, key=lambda place: (place.time, place.path))


def _preference(photo: Hit) -> tuple:
    first = _by_age(photo)[0]
    return -photo.width * photo.height, -photo.bytes, first.time, first.path


def _reason(kept: Hit, others: list[Hit]) -> str:
    """Why a photo is kept: what it is ahead of the others by."""
    reasons = ("most pixels", "largest file", "oldest", "first by path")
    if others:
        ahead, behind = _preference(kept), min(map(_preference, others))
    else:
        ahead, behind = ((0, 0, one.time, one.path) for one in _by_age(kept)[:2])
    differ = [one != other for one, other in zip(ahead, behind, strict=True)]
    return reasons[differ.index(True)]
