"""Kinds of photos that nobody has labelled, by their neighbours that somebody has."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from abe_tf.config.index import SureConfig
from abe_tf.photo_index import scan
from abe_tf.photo_index.searching import Moment
from abe_tf.photo_index.sureness import Sureness

L = TypeVar("L")
# How sure a label must be, in percent, where nothing else is asked; and the share of
# votes that are alike.
PRECISION, _MAJORITY = 95.0, 0.5
# P(same kind) of a neighbour that has a vote.
_LIKELY = 0.5


@dataclasses.dataclass(frozen=True)
class Guess:
    """What the neighbours of a photo say.

    Attributes:
      row: Row of the photo.
      label: The kind that most speaks for; `None` where no neighbour is near.
      share: Its share of the votes, 0 to 1, as `vote`.
      neighbour: Row of the nearest photo of that kind; of the nearest of all where
        there is no kind.
      distance: Its distance.
    """

    row: int
    label: str | None
    share: float
    neighbour: int
    distance: float


def guesses(moment: Moment, neighbours: int, sure: Sureness | float) -> Iterator[Guess]:
    """Looks at the labelled neighbours of each photo that is not labelled.

    Args:
      moment: The index.
      neighbours: Number of labelled neighbours that have a vote, the nearest.
      sure: What P(same kind) is known by: each votes with its own, if it is more likely
        of the kind than not. Or a distance: those within it vote, each alike.

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
            votes = likely(sure.probability(distances))
        else:
            votes = (distances <= sure).astype(np.float64)
        yield _guess(int(row), rows, distances, votes, labels)


def likely(probabilities: np.ndarray) -> np.ndarray:
    """What neighbours say by their P(same kind): nothing where that is below a half."""
    return np.where(probabilities < _LIKELY, 0.0, probabilities)


def is_certain(guess: Guess, flags: SureConfig, known: Sureness | float) -> bool:
    """Whether a guess may be a label: by the share of votes that was asked for.

    Args:
      guess: What the neighbours say.
      flags: How sure a label must be.
      known: What each vote was known by: where by a distance, most must be alike.
    """
    if isinstance(known, Sureness):
        asked = PRECISION if flags.precision is None else flags.precision
        return guess.label is not None and guess.share >= asked / 100
    return guess.share > _MAJORITY


def _guess(
    row: int,
    rows: np.ndarray,
    distances: np.ndarray,
    votes: np.ndarray,
    labels: dict[int, str],
) -> Guess:
    theirs = [labels[neighbour] for neighbour in rows.tolist()]
    label, share = vote(theirs, votes.tolist())
    if not share:
        return Guess(row, None, 0.0, int(rows[0]), float(distances[0]))
    nearest = theirs.index(label)
    where, distance = int(rows[nearest]), float(distances[nearest])
    return Guess(row, label, share, where, distance)


def vote(labels: Sequence[L], votes: Sequence[float]) -> tuple[L, float]:
    """The label with most votes, and its share of them.

    What all votes together lack to one speaks for none of them: one neighbour makes no
    surer than it is.

        >>> vote(["cat", "dog", "cat"], [0.5, 0.75, 0.5])
        ('cat', 0.5714285714285714)
        >>> vote(["cat", "dog"], [0.75, 0.0])
        ('cat', 0.75)

    Args:
      labels: Labels of the neighbours, nearest first; one at least.
      votes: What each says, 0 to 1.
    """
    by_label: dict[L, float] = {}
    for label, one in zip(labels, votes, strict=True):
        by_label[label] = by_label.get(label, 0.0) + one
    best = max(by_label, key=lambda label: by_label[label])
    return best, by_label[best] / max(1.0, sum(votes))
