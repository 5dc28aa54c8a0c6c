"""Metric losses on one footing: tried alike on held-out classes, then measured."""

from __future__ import annotations

import dataclasses
import os
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from abe_tf.config.compare import CompareConfig
from abe_tf.config.sweep import SweepConfig
from abe_tf.figures.ablation import SweepRow, mean_and_deviation
from abe_tf.runs.flags import RunFlags
from abe_tf.sweeps import points, trials

# By ensemble, one a seed.
Runs = dict[str, list[trials.Trial]]
# One learner, and nothing for it to differ from.
ONE_HEAD = {"ensemble": "none", "num_learners": "1", "lambda_div": "0"}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What is compared, and where the runs lie.

    Attributes:
      folder: Of all runs: `tries/LOSS`, sweeps, and `ENSEMBLE`, the measured runs.
      start: Flags that all runs share.
      asked: Losses, networks, tries and seeds.
    """

    folder: str
    start: RunFlags
    asked: CompareConfig

    def tries(self, loss: str) -> list[trials.Trial]:
        """The sweep around one loss, with one learner.

        Raises:
          InputError: A setting breaks a rule, or a run with other flags lies there.
        """
        return trials.plan(
            os.path.join(self.folder, "tries", loss),
            self.start.changed({**ONE_HEAD, "metric_loss": loss}),
            self._swept(loss),
        )

    def choose(self, loss: str) -> dict[str, str]:
        """Runs the tries of a loss, and says which values are best.

        Returns:
          The learning rate and the loss' own setting, by the flag's name. Each is the
          best of its values around the flags, by Recall@1 on held-out classes.
        """
        tried, swept = self.tries(loss), self._swept(loss)
        trials.run(tried)
        rows = trials.by_factor(tried, swept)
        for factor, of_factor in rows.items():
            print(f"\n{points.as_text(factor, of_factor)}", flush=True)
        trials.write(os.path.join(self.folder, "tries", loss), rows)
        return {factor: points.best(values).value for factor, values in rows.items()}

    def measured(self, loss: str, chosen: Mapping[str, str]) -> Runs:
        """The runs that the table is of: of all training classes, on the test classes.

        Args:
          loss: Name of the metric loss.
          chosen: Learning rate and setting.

        Returns:
          By ensemble, one a seed.

        Raises:
          InputError: A setting breaks a rule, or a run with other flags lies there.
        """
        first = self.start.training.seed
        seeds = range(first, first + self.asked.seeds)
        setting = {"metric_loss": loss, **chosen}
        runs: Runs = {}
        for ensemble in self.asked.ensembles:
            folder = os.path.join(self.folder, ensemble)
            at = [points.Point(folder, setting, seed, "test") for seed in seeds]
            runs[ensemble] = [
                trials.Trial.checked(setting, point, self._flags(point, ensemble))
                for point in at
            ]
        return runs

    def _swept(self, loss: str) -> SweepConfig:
        return self.asked.tries(loss, self.start.training.learning_rate)

    def _flags(self, point: points.Point, ensemble: str) -> RunFlags:
        network = ONE_HEAD if ensemble == "none" else {"ensemble": ensemble}
        return self.start.changed(
            {**network, **point.setting, "validation_classes": 0, "seed": point.seed}
        )


@dataclasses.dataclass(frozen=True)
class Row:
    """A loss in the table of one network.

    Attributes:
      chosen: Learning rate and setting, by the flag's name.
      measured: On the test classes, one a seed.
    """

    chosen: dict[str, str]
    measured: SweepRow

    @classmethod
    def of(cls, chosen: dict[str, str], runs: Sequence[trials.Trial]) -> Row:
        """Reads what was measured of runs that are done."""
        steps = runs[0].flags.training.steps
        results = [trial.point.results(steps) for trial in runs]
        return cls(chosen, points.summarise(runs[0].setting["metric_loss"], results))

    def content(self) -> dict[str, Any]:
        """The row as compared.json has it."""
        return {
            "chosen": self.chosen,
            "recall@1": self.measured.ensemble,
            "learners_recall@1": self.measured.individual,
            "self_pair_cosine": self.measured.self_pair_cosine,
        }


def as_text(network: str, rows: Mapping[str, Row]) -> str:
    """The table of one network, the best loss first.

    Args:
      network: Its name.
      rows: By the loss' name.
    """
    lines = [f"{network:18}{'Recall@1, %':>14}{'learners':>14}  chosen"]
    means = {n: statistics.mean(row.measured.ensemble) for n, row in rows.items()}
    for loss in sorted(means, key=lambda name: -means[name]):
        row = rows[loss]
        flags = " ".join(f"--{flag}={value}" for flag, value in row.chosen.items())
        lines.append(
            f"{loss:18}{mean_and_deviation(row.measured.ensemble):>14}"
            f"{mean_and_deviation(row.measured.individual):>14}  {flags}"
        )
    return "\n".join(lines)
