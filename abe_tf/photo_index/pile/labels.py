"""Kinds of photos that nobody has labelled, by their neighbours that somebody has."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from abe_tf.photo_index import scan
from abe_tf.photo_index.searching import Moment
from abe_tf.photo_index.sureness import Sureness


@dataclasses.dataclass(frozen=True)
class Guess:
    """What the neighbours of a photo say.

    Attributes:
      row: Row of the photo.
      label: The kind that most speaks for; `None` where no neighbour is near.
      probability: How sure they are of it, 0 to 1.
      neighbour: Row of the nearest photo of that kind; of the nearest of all where
        there is no kind.
      distance: Its distance.
    """

    row: int
    label: str | None
    probability: float
    neighbour: int
    distance: float


def guesses(moment: Moment, neighbours: int, sure: Sureness | float) -> Iterator[Guess]:
    """Looks at the labelled neighbours of each photo that is not labelled.

    Args:
      moment: The index.
      neighbours: How many labelled neighbours have a vote, the nearest.
      sure: What P(same kind) is known by: each votes with its own. Or a distance: those
        within it vote, each alike.

    Yields:
      A guess for each photo without a label, by row.
    """
    labels = moment.labels_of_rows()
    if not labels:
        return
    wanted = np.zeros(moment.about["rows"], bool)
    wanted[list(labels)] = True
    for row in moment.rows():
        if row in labels:
            continue
        rows, distances = scan.nearest(
            moment.segments, moment.embedding(row), neighbours, wanted
        )
        if isinstance(sure, Sureness):
            votes = sure.probability(distances)
        else:
            votes = (distances <= sure).astype(np.float64)
        yield _guess(int(row), rows, distances, votes, labels)


def _guess(
    row: int,
    rows: np.ndarray,
    distances: np.ndarray,
    votes: np.ndarray,
    labels: dict[int, str],
) -> Guess:
    """The kind with most votes, and its share of them.

    Where all votes together are less than one, most likely there is no photo of its
    kind: what they lack to one speaks for none of them.
    """
    by_label: dict[str, float] = {}
    for neighbour, vote in zip(rows.tolist(), votes.tolist(), strict=True):
        label = labels[neighbour]
        by_label[label] = by_label.get(label, 0.0) + vote
    best = max(by_label, key=lambda label: by_label[label])
    if not by_label[best]:
        return Guess(row, None, 0.0, int(rows[0]), float(distances[0]))
    share = by_label[best] / max(1.0, sum(by_label.values()))
    nearest = next(
        place for place, one in enumerate(rows.tolist()) if labels[one] == best
    )
    where, distance = int(rows[nearest]), float(distances[nearest])
    return Guess(row, best, share, where, distance)
