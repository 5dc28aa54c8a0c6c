"""Rates that are chosen at shorter trainings, and carried over to the longest."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from abe_tf.figures.ablation import SweepRow

if TYPE_CHECKING:
    from abe_tf.sweeps.comparing import Comparison


@dataclasses.dataclass(frozen=True)
class Rung:
    """What a row of a comparison reaches with a budget, on held-out classes.

    Attributes:
      steps: Number of steps of the training.
      best: The learning rate that is best there, and what was measured with it.
    """

    steps: int
    best: SweepRow

    def content(self) -> dict[str, Any]:
        """The rung as compared.json has it."""
        return {
            "steps": self.steps,
            "learning_rate": self.best.value,
            "recall@1": self.best.ensemble,
            "learners_recall@1": self.best.individual,
            "self_pair_cosine": self.best.self_pair_cosine,
        }


def climb(comparison: Comparison, row: str) -> list[Rung]:
    """Tries the rates of a row at each budget, around what was best at the one before.

    The longest training is of the rate that was best before it, alone.

    Args:
      comparison: With `--budgets`.
      row: Name of the ensemble.

    Returns:
      The rungs, the longest last.

    Raises:
      InputError: A command failed; it has said why.
    """
    rungs = []
    rate = str(comparison.start.training.learning_rate)
    for steps in (*comparison.asked.budgets, comparison.start.training.steps):
        at = comparison.at(steps, rate)
        print(f"\n{row}: {steps} steps", flush=True)
        best = at.choose(row, at.tries(row))["learning_rate"]
        rungs.append(Rung(steps, best))
        rate = best.value
    return rungs
