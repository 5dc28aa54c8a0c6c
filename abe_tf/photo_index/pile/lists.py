"""The lists as CSV: copies, groups, labels."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence

from abe_tf.data.photos import readable
from abe_tf.errors import InputError
from abe_tf.photo_index.answers import time_text
from abe_tf.photo_index.hits import Hit
from abe_tf.photo_index.pile.copies import CopySet
from abe_tf.photo_index.pile.groups import Groups, majority
from abe_tf.photo_index.pile.labels import Guess
from abe_tf.photo_index.searching import Moment
from abe_tf.photo_index.sureness import Sureness
from abe_tf.storage import files

COPIES = (
    *("set", "keep", "kind", "reason", "distance", "path"),
    *("width", "height", "bytes", "time"),
)
GROUPS = ("group", "size", "path", "label", "distance", "probability", "odd")
LABELS = ("path", "label", "source", "share", "neighbour")
# Where a label is from.
KNOWN, BY_NEIGHBOURS = "known", "neighbours"


def copies(sets: Iterable[CopySet]) -> Iterator[list]:
    """A row for each photo of each set, the one to keep first."""
    for number, one in enumerate(sets, 1):
        size = _size(one.photo)
        path, time = readable(one.kept.path), time_text(one.kept.time)
        yield [number, "yes", "", one.reason, 0.0, path, *size, time]
        for copy in one.copies:
            place = copy.place
            told = [readable(place.path), *_size(copy.photo), time_text(place.time)]
            yield [number, "no", copy.kind, "", round(copy.distance, 6), *told]


def _size(photo: Hit) -> tuple[int, int, int]:
    return photo.width, photo.height, photo.bytes


def groups(moment: Moment, found: Groups, sure: Sureness | None) -> Iterator[list]:
    """A row for each photo of each group, and then for each that is alone."""
    for number, group in enumerate(found.groups, 1):
        photos = moment.photos(group.rows)
        kind = majority([photo.places[0].label for photo in photos])
        for photo, distance in zip(photos, group.distances.tolist(), strict=True):
            probability = round(float(sure.probability(distance)), 4) if sure else ""
            for place in photo.places:
                odd = kind is not None and place.label not in (None, kind)
                told = [readable(place.path), readable(place.label or "")]
                measured = [round(distance, 6), probability, "yes" if odd else ""]
                yield [number, len(group.rows), *told, *measured]
    apart = set(found.apart.tolist())
    for photo in moment.photos([*found.apart, *found.alone]):
        for place in photo.places:
            told = [readable(place.path), readable(place.label or "")]
            yield ["", 1, *told, "", "", "apart" if photo.row in apart else "alone"]


def known(moment: Moment) -> Iterator[list]:
    """A row for each photo that is labelled."""
    for row, label in sorted(moment.labels_of_rows().items()):
        (photo,) = moment.photos([row])
        for place in photo.places:
            own = label if place.label is None else place.label
            yield [readable(place.path), readable(own), KNOWN, "", ""]


def guessed(moment: Moment, guesses: Iterable[Guess]) -> Iterator[list]:
    """A row for each photo that its neighbours have labelled."""
    for guess in guesses:
        photo, neighbour = moment.photos([guess.row, guess.neighbour])
        beside = readable(neighbour.places[0].path)
        for place in photo.places:
            label = readable(guess.label or "")
            share = round(guess.share, 4)
            yield [readable(place.path), label, BY_NEIGHBOURS, share, beside]


def check(*paths: str | None) -> None:
    """Tries what can be told before the work: that lists can be written, and apart.

    Raises:
      InputError: A folder cannot be written, or two lists are one file.
    """
    given = [os.path.realpath(path) for path in paths if path]
    for path in given:
        folder = os.path.dirname(path)
        if os.path.isdir(path) or not os.access(folder, os.W_OK):
            raise InputError(
                "A list must be a file in a folder that exists and can be written. "
                f"Received: {path!r}."
            )
    if len(set(given)) < len(given):
        raise InputError(
            f"Each list must be a file of its own. Received: {given[0]!r} twice."
        )


def write(path: str, columns: Sequence[str], rows: Iterable[Sequence]) -> int:
    """Writes a CSV file, whole or not at all.

    Returns:
      How many rows there are.

    Raises:
      InputError: It cannot be written.
    """
    with files.writing(path) as file:
        text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        count = sum(writer.writerow(row) > 0 for row in rows)
        text.detach()
    return count
