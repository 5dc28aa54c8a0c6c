"""Groups of an index: photos that hang together by pairs that are near."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator

import numpy as np

from abe_tf.photo_index import vectors
from abe_tf.photo_index.pile.components import Work, components
from abe_tf.photo_index.searching import Moment

# A group that is too large falls apart at a part of the distance that made it.
_CLOSER = 0.8
# Below that nothing is told apart; `retrieval.distances`.
_NOTHING = 1e-3


@dataclasses.dataclass(frozen=True)
class Group:
    """Photos that hang together.

    Attributes:
      rows: int64, the most central first, and then the nearest to it.
      distances: Their ensemble distances to that.
    """

    rows: np.ndarray
    distances: np.ndarray


@dataclasses.dataclass(frozen=True)
class Groups:
    """What an index falls into.

    Attributes:
      groups: The largest first; two photos at least.
      alone: int64 rows without another one that is near.
      apart: int64 rows of groups that were too large, and of none of what they fell
        into.
      split: Number of groups that were too large and fell apart at smaller distances.
    """

    groups: list[Group]
    alone: np.ndarray
    apart: np.ndarray
    split: int


def grouped(moment: Moment, limit: float, max_size: int, work: Work) -> Groups:
    """Groups the photos of an index.

    Args:
      moment: The index.
      limit: Ensemble distance of a pair at most.
      max_size: Photos of a group at most; larger ones fall apart at smaller distances.
      work: Where the comparison of all pairs keeps how far it is.
    """
    split, groups = 0, []
    alone: list[int] = []
    apart: list[int] = []
    waiting = [(moment.rows(), limit)]
    while waiting:
        rows, within = waiting.pop()
        for members in _components(moment, rows, within, work):
            if len(members) == 1:
                (alone if within == limit else apart).append(members[0])
            elif len(members) <= max_size or within < _NOTHING:
                groups.append(_centred(moment, members))
            else:
                split += 1
                waiting.append((members, within * _CLOSER))
    groups.sort(key=lambda group: (-len(group.rows), group.rows[0]))
    lonely, left = (np.sort(np.array(rows, np.int64)) for rows in (alone, apart))
    return Groups(groups, lonely, left, split)


def _components(
    moment: Moment, rows: np.ndarray, limit: float, work: Work
) -> Iterator[np.ndarray]:
    if not len(rows):
        return
    roots = components(moment.segments, rows, limit, work)
    order = np.argsort(roots, kind="stable")
    starts = np.flatnonzero(np.diff(roots[order])) + 1
    for members in np.split(order, starts):
        yield rows[members]


def _centred(moment: Moment, rows: np.ndarray) -> Group:
    """A group around the photo that lies nearest to all of it."""
    embeddings = vectors.gather(moment.segments, rows)
    # The nearest to the mean, which no square of the group's size is needed for.
    middle = embeddings.mean(0, dtype=np.float64)
    central = vectors.distances(embeddings, middle).argmin()
    distances = vectors.distances(embeddings, embeddings[central])
    order = np.argsort(distances, kind="stable")
    return Group(rows[order], distances[order])


def majority(labels: list[str | None]) -> str | None:
    """What more than half of those with a kind are; `None` where there is none such.

    >>> majority(["cat", "cat", "dog", None]), majority(["cat", "dog"])
    ('cat', None)
    """
    counts = collections.Counter(label for label in labels if label is not None)
    if not counts:
        return None
    label, count = counts.most_common(1)[0]
    return label if 2 * count > counts.total() else None
