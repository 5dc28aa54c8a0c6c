"""How sure a hit is: P(same kind) in an index, of calibration and base rate."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from abe_tf.config.index import SureConfig
from abe_tf.errors import InputError
from abe_tf.photo_index.hits import Hit
from abe_tf.photo_index.searching import Moment
from abe_tf.retrieval.calibration import Calibration, base_rate

# P(same kind) of a pair, in percent, where nothing else is asked.
PRECISION = 90.0


class UnsureError(Exception):
    """Nothing tells how sure a distance makes; the text says why, as a sentence."""


@dataclasses.dataclass(frozen=True)
class Sureness:
    """P(same kind) of pairs of photos of one index.

    Attributes:
      calibration: The model's.
      base_rate: Share of all pairs of photos that are of one kind.
      source: What tells the base rate, in a few words.
    """

    calibration: Calibration
    base_rate: float
    source: str

    def probability(self, distances: np.ndarray | float) -> np.ndarray:
        """P(same kind) at some ensemble distances."""
        return self.calibration.probability(np.asarray(distances), self.base_rate)

    def distance_at(self, percent: float) -> float | None:
        """The largest distance at which P(same kind) is so many percent."""
        return self.calibration.distance_at(percent / 100, self.base_rate)

    def text(self) -> str:
        """The base rate and where it is from, in a few words."""
        return f"base rate 1 : {1 / self.base_rate:,.1f}, by {self.source}"


def sureness(moment: Moment, kinds: int | None) -> Sureness:
    """What is known of an index.

    Args:
      moment: The index.
      kinds: Number of kinds that there are, of about as many photos; `None` for what
        the labels tell.

    Raises:
      UnsureError: Its model was not calibrated, or nothing tells the base rate.
    """
    stated = moment.about.get("calibration")
    if stated is None:
        raise UnsureError(_uncalibrated(moment.about["source"]))
    try:
        calibration = Calibration.parse(stated)
    except ValueError as error:
        raise UnsureError(
            f"No P(same kind): the index has one of another version ({error})."
        ) from error
    if kinds is not None:
        return Sureness(calibration, 1 / kinds, f"--kinds={kinds}")
    counts = moment.labels()
    rate = base_rate(counts.values())
    if rate is None:
        raise UnsureError(
            "Labels tell no base rate unless some photos are of one kind and some of "
            "two. Give --kinds=N, how many kinds there are."
        )
    photos = sum(counts.values())
    source = f"the labels of {photos:,} photos, {len(counts):,} kinds"
    return Sureness(calibration, rate, source)


def with_probability(
    moment: Moment, kinds: int | None, hits: Sequence[Hit]
) -> tuple[list[Hit], str]:
    """Hits with P(same kind), where something tells it.

    Args:
      moment: The index.
      kinds: As for `sureness`.
      hits: What was found.

    Returns:
      The hits; and by what P(same kind) is known, or why it is not.
    """
    try:
        known = sureness(moment, kinds)
    except UnsureError as error:
        return list(hits), str(error)
    sure = [
        dataclasses.replace(hit, probability=float(known.probability(hit.distance)))
        for hit in hits
    ]
    return sure, f"P(same kind) at a {known.text()}"


def told(moment: Moment, flags: SureConfig) -> Sureness | float:
    """What tells whether two photos are of one kind: P(same kind), or a distance.

    Args:
      moment: The index.
      flags: What was asked.

    Raises:
      InputError: Nothing tells how sure a distance makes, and no distance was given.
    """
    if flags.max_distance is not None:
        return flags.max_distance
    try:
        return sureness(moment, flags.kinds)
    except UnsureError as error:
        raise InputError(
            f"--precision needs P(same kind). Received: an index without. {error} Or "
            "give --max_distance=D, the distance itself."
        ) from error


def of(known: Sureness | float) -> str:
    """By what P(same kind) is known, behind a comma; nothing for a distance."""
    if isinstance(known, Sureness):
        return f", P(same kind) at a {known.text()}"
    return ""


def bound(
    moment: Moment, flags: SureConfig, precision: float = PRECISION
) -> tuple[float, Sureness | float]:
    """The distance up to which two photos count as of one kind.

    Args:
      moment: The index.
      flags: What was asked.
      precision: P(same kind) in percent where the flags name neither.

    Returns:
      The distance, and what tells it, as `told`.

    Raises:
      InputError: Nothing tells how sure a distance makes, or none makes so sure.
    """
    percent = precision if flags.precision is None else flags.precision
    known = told(moment, flags)
    if not isinstance(known, Sureness):
        return known, known
    limit = known.distance_at(percent)
    if limit is None:
        raise InputError(
            "--precision must be one that some distance gives. Received: "
            f"{percent:g}, and {float(known.probability(0)) * 100:.3g} at most "
            f"({known.text()}). Give a lower one, or --max_distance=D."
        )
    # So that whoever is told it can ask for the same; never for more.
    return math.floor(1e4 * limit) / 1e4, known


def _uncalibrated(source: dict) -> str:
    if source.get("workdir"):
        workdir, checkpoint = source["workdir"], source["checkpoint"]
        return (
            "No P(same kind): the index's model was not calibrated. python -m "
            f"abe_tf.evaluate --workdir={workdir} --checkpoint={checkpoint} "
            "--split=validation does it, if the run held out classes or domains "
            "(--validation_classes, --validation_domains); then run abe_tf.index again."
        )
    if source.get("model_dir"):
        return (
            "No P(same kind): the index's export has no calibration. Evaluate its run "
            "with --split=validation, export it again, and run abe_tf.index "
            f"--model_dir={source['model_dir']}."
        )
    return (
        "No P(same kind): an encoder that nobody trained was not calibrated. An index "
        "by a run's network has it."
    )
