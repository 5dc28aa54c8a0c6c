"""Recall against one factor, as in the paper's ablations (section 5.4)."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import Any

from abe_tf.figures import style


@dataclasses.dataclass(frozen=True)
class SweepRow:
    """A value of a factor, over seeds and, in a grid, over the other factors.

    Attributes:
      value: Value of the flag, as written on the command line.
      ensemble: Recall@1 by ensemble distance in percent, one a run; none where a run
        diverged.
      individual: Mean Recall@1 of the learners, one a run.
      self_pair_cosine: One a run; none with one learner.
    """

    value: str
    ensemble: list[float]
    individual: list[float]
    self_pair_cosine: list[float]

    @classmethod
    def of(cls, row: dict[str, Any]) -> SweepRow:
        """A row as a file has it.

        Raises:
          TypeError, ValueError, LookupError: It is none.
        """
        numbers = {
            field.name: [float(value) for value in row[field.name]]
            for field in dataclasses.fields(cls)
            if field.name != "value"
        }
        if row.keys() - numbers.keys() != {"value"}:
            raise ValueError(f"a row of {', '.join(row)}")
        return cls(str(row["value"]), **numbers)

    @property
    def recall(self) -> float:
        """Mean Recall@1 of the ensemble; below all others where a run diverged."""
        return statistics.mean(self.ensemble) if self.ensemble else -math.inf


def deviation(values: Sequence[float]) -> float:
    """Sample standard deviation over runs; 0 for one run, which has none.

    >>> deviation([90.0, 92.0])
    1.4142135623730951
    """
    return statistics.stdev(values) if len(values) > 1 else 0.0


def mean_and_deviation(values: Sequence[float]) -> str:
    """The same as text, with the mean; the mean alone for one run; "diverged" for none.

    >>> mean_and_deviation([90.0, 92.0]), mean_and_deviation([91.0])
    ('91.0 ± 1.41', '91.0')
    """
    if not values:
        return "diverged"
    mean = f"{statistics.mean(values):.1f}"
    return mean if len(values) < 2 else f"{mean} ± {deviation(values):.2f}"


def draw(factor: str, rows: Sequence[SweepRow]) -> bytes:
    """Recall@1 of the ensemble and of its learners for each value.

    Args:
      factor: The flag that was varied.
      rows: One a value, in the order of the axis. Error bars are the sample standard
        deviation over runs.

    Returns:
      A PNG file.
    """
    rows = [row for row in rows if row.ensemble]
    with style.figure(8, 5) as figure:
        axes = figure.subplots()
        places = range(len(rows))
        for name, colour, marker, values in (
            ("ensemble", style.BLUE, "o", [row.ensemble for row in rows]),
            ("its learners", style.VERMILLION, "s", [row.individual for row in rows]),
        ):
            axes.errorbar(
                places,
                [statistics.mean(runs) for runs in values],
                [deviation(runs) for runs in values],
                color=colour,
                marker=marker,
                capsize=5,
                label=name,
            )
        # Names of layers are long: they are broken where they can be.
        axes.set_xticks(places, [row.value.replace("_", "_\n", 2) for row in rows])
        axes.set_xlabel(f"--{factor}")
        axes.set_ylabel("Recall@1 on validation classes, %")
        axes.grid(axis="y", alpha=0.3)
        axes.legend()
        return style.png(figure)
