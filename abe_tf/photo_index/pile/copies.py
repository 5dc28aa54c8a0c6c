"""Copies in an index, of the same bytes or pixels, or near, and which to keep.

Nothing is ever deleted here: a list says which photo of each set to keep, and why.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterator

import numpy as np

from abe_tf.photo_index import vectors
from abe_tf.photo_index.asking import Asker
from abe_tf.photo_index.contents import BrokenPhotoError, content_of
from abe_tf.photo_index.hits import Hit, Place
from abe_tf.photo_index.pile.components import Work, components
from abe_tf.photo_index.searching import Moment

BYTES, PIXELS, NEAR = "bytes", "pixels", "near"
# What float32 cannot tell from 0 (`retrieval.distances`), twice.
NOTHING = 2e-3
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
      BrokenPhotoError: None of the photos can be read any more.
      InputError: The model cannot be had.
    """
    rows = moment.rows()
    measured = []
    for row in rows[:: max(1, len(rows) // _SAMPLE)]:
        (photo,) = moment.photos([row])
        try:
            content = content_of(photo.places[0].path)
            longer = max(asker.reader.side, max(photo.width, photo.height) // 2)
            smaller = asker.reader.thumbnail(content, longer)
        except BrokenPhotoError:
            # Moved or gone since; whether enough are left is seen below.
            continue
        embedding, _ = asker.embed(moment, smaller)
        measured.append(_distances(moment.embedding(row)[np.newaxis], embedding)[0])
    if not measured:
        raise BrokenPhotoError("none of the index's photos lies where it was")
    return float(np.quantile(measured, _SHARE, method="higher"))


def copies(moment: Moment, limit: float, work: Work) -> Iterator[CopySet]:
    """Sets of copies, those of most photos first.

    Args:
      moment: The index.
      limit: Ensemble distance, to the one that is kept, of photos that count as near.
      work: Where the comparison of all pairs keeps how far it is.

    Yields:
      Sets of two photos and more.
    """
    rows = moment.rows()
    roots = components(moment.segments, rows, max(limit, NOTHING), work)
    _, inverse, sizes = np.unique(roots, return_inverse=True, return_counts=True)
    several = np.isin(rows, moment.rows_of_several())
    order = np.argsort(inverse, kind="stable")
    bounds = np.cumsum(sizes)
    for number in np.argsort(-sizes, kind="stable"):
        members = order[bounds[number] - sizes[number] : bounds[number]]
        if len(members) > 1 or several[members[0]]:
            yield from _sets(moment, rows[members], limit)


def _sets(moment: Moment, rows: np.ndarray, limit: float) -> Iterator[CopySet]:
    """The sets of rows that hang together: each is near the one that is kept."""
    photos = sorted(moment.photos(rows), key=_preference)
    embeddings = vectors.gather(
        moment.segments, np.array([photo.row for photo in photos])
    )
    left = np.arange(len(photos))
    digest = functools.lru_cache(2)(_digest_of_pixels)
    while len(left):
        kept, *others = (photos[one] for one in left)
        distances = _distances(embeddings[left[1:]], embeddings[left[0]]).tolist()
        kinds = [
            _kind(kept, other, distance, limit, digest)
            for other, distance in zip(others, distances, strict=True)
        ]
        near = [
            one for one in zip(others, kinds, distances, strict=True) if one[1] != ""
        ]
        if near or len(kept.places) > 1:
            yield _set(kept, near)
        left = left[1:][np.array(kinds, str) == ""]


def _set(kept: Hit, near: list[tuple[Hit, str, float]]) -> CopySet:
    places = sorted(kept.places, key=lambda place: (place.time, place.path))
    listed = [Copy(kept, place, BYTES, 0.0) for place in places[1:]]
    for photo, kind, distance in sorted(near, key=lambda one: one[2]):
        listed += [Copy(photo, place, kind, distance) for place in photo.places]
    return CopySet(
        kept, places[0], _reason(kept, [photo for photo, *_ in near]), listed
    )


def _kind(
    kept: Hit,
    other: Hit,
    distance: float,
    limit: float,
    digest: Callable[[str], bytes],
) -> str:
    """What two contents have in common; "" for nothing."""
    same_size = (kept.width, kept.height) == (other.width, other.height)
    if same_size and distance <= _SAME_PIXELS:
        one, two = (digest(photo.places[0].path) for photo in (kept, other))
        if one and one == two:
            return PIXELS
    return NEAR if distance <= limit else ""


def _digest_of_pixels(path: str) -> bytes:
    """Tells upright pixels from others; empty where the file cannot be read."""
    from abe_tf.photo_index.reading import pixels_of

    try:
        pixels = pixels_of(content_of(path))
    except BrokenPhotoError:
        return b""
    return hashlib.sha256(pixels.tobytes()).digest()


def _preference(photo: Hit) -> tuple:
    first = min(photo.places, key=lambda place: (place.time, place.path))
    return -photo.width * photo.height, -photo.bytes, first.time, first.path


def _reason(kept: Hit, others: list[Hit]) -> str:
    """Why a photo is kept: what it is ahead of the others by."""
    reasons = ("most pixels", "largest file", "oldest", "first by path")
    if others:
        ahead, behind = _preference(kept), min(map(_preference, others))
    else:
        files = sorted((place.time, place.path) for place in kept.places)
        ahead, behind = ((0, 0, *file) for file in files[:2])
    differ = [one != other for one, other in zip(ahead, behind, strict=True)]
    return reasons[differ.index(True)]


def _distances(embeddings: np.ndarray, one: np.ndarray) -> np.ndarray:
    """Ensemble distances of `[rows, learners, dim]` to one, float64 `[rows]`."""
    differences = embeddings.astype(np.float64) - one
    return np.linalg.norm(differences, axis=-1).mean(-1)
