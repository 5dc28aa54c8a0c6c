"""How sure a distance makes: the probability that two photos show one kind of thing.

On photos of kinds that training did not see, distances between photos of one kind and
of two are counted. How much more often a distance lies between photos of one kind is
its likelihood ratio; isotonic regression fits it, since it can only fall as photos lie
farther apart. What kinds there are differs from pile to pile, and with it the base
rate, how many of all pairs are of one kind: Bayes' rule puts the two together.

It is kinds that are a sample, more than photos: whether two are easily confused is not
told by a thousand photos of either. So photos of the kinds that trained are the other
half of pairs of two kinds, and no ratio is believed beyond what so many pairs of kinds
can show.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from abe_tf.retrieval.embedded import Embedded

FILE = "calibration.json"
# Photos of kinds that trained, evenly spaced, are enough.
TRAINED = 512
_FORMAT = 1
# Distances are counted in so many bins; of learners with a mean length of 1 none is
# above 2.
_BINS, _LARGEST = 2_000, 2.0
# Queries that are compared with all images, evenly spaced, and so many at once.
_MOST_QUERIES, _PORTION = 2_000, 256
# Pairs that are added to each count: what was never seen may still be.
_UNSEEN = 0.5


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How much more often photos of one kind lie at a distance than photos of two.

        >>> calibration = Calibration((0.2, 1.2), (4.0, -4.0))
        >>> calibration.probability(np.array([0.2, 0.7, 1.2]), base_rate=0.5).round(3)
        array([0.982, 0.5  , 0.018])
        >>> round(calibration.distance_at(0.9, base_rate=0.5), 3)
        0.425

    Attributes:
      distances: Ensemble distances, ascending.
      log_ratios: The natural logarithm of the likelihood ratio at each, never rising;
        between them it is interpolated, beyond them it stays.
      about: What it was counted on: "photos", "kinds", "pairs_of_one_kind",
        "pairs_of_two_kinds", how many "pairs_of_kinds" these are of, and what else the
        caller said.
    """

    distances: tuple[float, ...]
    log_ratios: tuple[float, ...]
    about: dict[str, Any] = dataclasses.field(default_factory=dict)

    def probability(self, distances: np.ndarray, base_rate: float) -> np.ndarray:
        """P(same kind) of pairs at some distances.

        Args:
          distances: Ensemble distances, of any shape.
          base_rate: Share of all pairs that are of one kind, above 0 and below 1.

        Returns:
          float64 of the same shape, above 0 and below 1.
        """
        log_odds = _logit(base_rate) + np.interp(
            distances, self.distances, self.log_ratios
        )
        return 1 / (1 + np.exp(-log_odds))

    def distance_at(self, precision: float, base_rate: float) -> float | None:
        """The largest distance at which P(same kind) is no less than a precision.

        Args:
          precision: Above 0 and below 1.
          base_rate: As for `probability`.

        Returns:
          `None` where not even the least distance makes so sure; 2 where every does.
        """
        needed = _logit(precision) - _logit(base_rate)
        ratios = np.array(self.log_ratios)
        if ratios[0] < needed:
            return None
        if ratios[-1] >= needed:
            return _LARGEST
        # The first that is too low; the one before it is not.
        low = int(np.argmax(ratios < needed))
        above, below = ratios[low - 1], ratios[low]
        share = (above - needed) / (above - below)
        here, there = self.distances[low - 1 : low + 1]
        return float(here + share * (there - here))

    def text(self) -> str:
        """What `parse` reads."""
        return json.dumps({"format": _FORMAT, **dataclasses.asdict(self)}) + "\n"

    @classmethod
    def parse(cls, text: str) -> Calibration:
        """Reads what `text` wrote.

        Raises:
          ValueError: It is none, or of a later format.
        """
        content = json.loads(text)
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise ValueError(f"no calibration of format {_FORMAT}")
        try:
            distances, ratios = (
                tuple(map(float, content[name])) for name in ("distances", "log_ratios")
            )
            about = dict(content["about"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"no calibration: {error!r}") from error
        falls = all(np.diff(distances) > 0) and all(np.diff(ratios) <= 0)
        if len(distances) != len(ratios) or not distances or not falls:
            raise ValueError("no calibration: its curve does not fall")
        return cls(distances, ratios, about)


def calibrate(
    embedded: Embedded, trained: Embedded | None = None, **about: Any
) -> Calibration | None:
    """Counts distances between photos of kinds that training has not seen.

    Args:
      embedded: Photos with their kinds.
      trained: Photos that trained, of other kinds; where some are of the same, as
        photos of other places are, pairs of one kind do not count. `None` for none.
      **about: What else is to be said of them.

    Returns:
      `None` where no two photos are of one kind, or none are of two.
    """
    same, different = _counts(embedded)
    kinds = len(np.unique(embedded.labels))
    pairs_of_kinds = math.comb(kinds, 2)
    if trained is not None:
        different += _counts_between(embedded, trained)
        both = len(np.intersect1d(embedded.labels, trained.labels))
        pairs_of_kinds += kinds * len(np.unique(trained.labels)) - both
    if not same.any() or not different.any():
        return None
    distances, ratios = _fitted(same, different)
    # One of so many that was not seen is half of one.
    most, least = math.log(2 * pairs_of_kinds), -math.log(2 * kinds)
    ratios = tuple(min(most, max(least, ratio)) for ratio in ratios)
    counted = {
        "photos": len(embedded),
        "kinds": kinds,
        "pairs_of_one_kind": int(same.sum()),
        "pairs_of_two_kinds": int(different.sum()),
        "pairs_of_kinds": pairs_of_kinds,
    }
    return Calibration(distances, ratios, {**counted, **about})


def read(path: str, remedy: str) -> Calibration | None:
    """The calibration in a file; `None` where there is none.

    A damaged one is none, and said on standard error: all else goes on without.

    Args:
      path: The file.
      remedy: What to do where it is damaged, a sentence.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return Calibration.parse(file.read())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        print(f"Passed over: {path} is damaged ({error}). {remedy}", file=sys.stderr)
        return None


def base_rate(counts: Iterable[int]) -> float | None:
    """How many of all pairs of photos are of one kind.

        >>> base_rate([2, 2])
        0.3333333333333333

    Args:
      counts: Photos of each kind.

    Returns:
      Above 0 and below 1; `None` where all or no pairs are.
    """
    sizes = list(counts)
    pairs = math.comb(sum(sizes), 2)
    same = sum(math.comb(size, 2) for size in sizes)
    return same / pairs if 0 < same < pairs else None


def _counts(embedded: Embedded) -> tuple[np.ndarray, np.ndarray]:
    """How many pairs of one and of two kinds lie at each distance, `[_BINS]` int64."""
    labels, images = np.asarray(embedded.labels), len(embedded)
    queries = np.arange(0, images, -(-images // _MOST_QUERIES))
    is_query = np.isin(np.arange(images), queries)
    same, different = np.zeros([2, _BINS], np.int64)
    for start in range(0, len(queries), _PORTION):
        some = queries[start : start + _PORTION]
        bins = _bins(embedded, some, embedded)
        own = labels[some, np.newaxis] == labels
        # Each pair once, also where both are queries.
        counted = ~is_query | (some[:, np.newaxis] < np.arange(images))
        same += np.bincount(bins[own & counted], minlength=_BINS)
        different += np.bincount(bins[~own & counted], minlength=_BINS)
    return same, different


def _counts_between(embedded: Embedded, others: Embedded) -> np.ndarray:
    counts = np.zeros(_BINS, np.int64)
    ours, theirs = np.asarray(embedded.labels), np.asarray(others.labels)
    for start in range(0, len(embedded), _PORTION):
        some = np.arange(start, min(start + _PORTION, len(embedded)))
        apart = ours[some, np.newaxis] != theirs
        bins = _bins(embedded, some, others)[apart]
        counts += np.bincount(bins, minlength=_BINS)
    return counts


def _bins(embedded: Embedded, some: np.ndarray, others: Embedded) -> np.ndarray:
    """The bins of distances of some photos to others, `[some, others]`."""
    ours, theirs = embedded.learner_embeddings[some], others.learner_embeddings
    total = np.zeros([len(some), len(others)], np.float32)
    for learner in range(embedded.num_learners):
        one, other = ours[:, learner], theirs[:, learner]
        squares = np.square(one).sum(1)[:, np.newaxis] + np.square(other).sum(1)
        total += np.sqrt(np.maximum(0, squares - 2 * (one @ other.T)))
    bins = total * (_BINS / (_LARGEST * embedded.num_learners))
    return np.minimum(bins.astype(np.int32), _BINS - 1)


def _fitted(
    same: np.ndarray, different: np.ndarray
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Distances, and the logarithm of the likelihood ratio at each."""
    from sklearn.isotonic import IsotonicRegression

    # Both kinds of pairs weigh as much, so that what is fitted is a likelihood.
    weights = same / same.sum(), different / different.sum()
    both = weights[0] + weights[1]
    seen = np.flatnonzero(both)
    centers = (seen + 0.5) * (_LARGEST / _BINS)
    fit = IsotonicRegression(increasing=False).fit_transform(
        centers, weights[0][seen] / both[seen], sample_weight=both[seen]
    )
    # Bins of one value are a block of the fit; its ratio is counted anew, with what was
    # not seen.
    _, block = np.unique(-fit, return_inverse=True)

    def of_blocks(counts: np.ndarray) -> np.ndarray:
        return np.bincount(block, weights=counts[seen])

    middle = np.bincount(block, centers * both[seen]) / of_blocks(both)
    ratios = (of_blocks(same) + _UNSEEN) / (same.sum() + 2 * _UNSEEN)
    ratios /= (of_blocks(different) + _UNSEEN) / (different.sum() + 2 * _UNSEEN)
    falling = np.minimum.accumulate(np.log(ratios))
    return tuple(middle.tolist()), tuple(falling.tolist())


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))
