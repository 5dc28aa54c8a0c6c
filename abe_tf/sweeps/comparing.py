"""Metric losses on one footing: tried alike on held-out classes, then measured."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from abe_tf.config.compare import SETTINGS, CompareConfig
from abe_tf.config.loss import LossConfig
from abe_tf.config.sweep import SweepConfig
from abe_tf.errors import InputError
from abe_tf.figures.ablation import SweepRow, mean_and_deviation
from abe_tf.runs.flags import RunFlags
from abe_tf.storage.files import write_atomically
from abe_tf.sweeps import points, trials

if TYPE_CHECKING:
    from abe_tf.data.examples import Splits

# By ensemble, one a seed.
Runs = dict[str, list[trials.Trial]]
# Changes of the flags. The paper's M-heads have no divergence loss either.
NETWORKS = {
    "none": {"ensemble": "none", "num_learners": "1", "lambda_div": "0"},
    "heads": {"ensemble": "heads", "lambda_div": "0"},
    "abe": {"ensemble": "abe"},
}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What is compared, and where the runs lie.

    Attributes:
      folder: Folder of all runs: `tries/LOSS`, sweeps; `ENSEMBLE`, the measured runs.
      start: Flags that all runs share.
      asked: Losses, networks, tries and seeds.
    """

    folder: str
    start: RunFlags
    asked: CompareConfig

    def check(self) -> None:
        """Refuses flags that the comparison sets itself, or cannot do with.

        Raises:
          InputError: There is one.
        """
        flags = self.start
        if flags.loss.metric_loss != LossConfig().of_ensemble("").metric_loss:
            raise InputError(
                "--losses names the losses. Received: --metric_loss="
                f"{flags.loss.metric_loss}. Leave --metric_loss out."
            )
        if flags.training.init_from:
            raise InputError(
                "A comparison's networks are several, and its tries hold classes out. "
                f"Received: --init_from={flags.training.init_from}. Leave it out."
            )
        several = [name for name in self.asked.ensembles if name != "none"]
        if several and flags.model.num_learners < 2:
            raise InputError(
                f"--ensembles={several[0]} needs --num_learners of 2 or more. "
                f"Received: {flags.model.num_learners}. Give it, or --ensembles=none."
            )
        for loss in self.asked.losses:
            name, values = SETTINGS[loss]
            given = getattr(flags.loss, name)
            if given not in values:
                raise InputError(
                    f"--{name} is tried at {', '.join(map(str, values))} for {loss}. "
                    f"Received: {given}. Leave --{name} out."
                )

    def fitted(self, splits: Splits) -> Comparison:
        """The same comparison with batches alike in tries and measured runs.

        Tries have fewer classes, and the smallest class may be one they hold out:
        left to the data, or found too large, batches are so before the first run.

        Args:
          splits: Images, with the classes that the tries hold out.

        Raises:
          InputError: Batches of these flags cannot be filled.
        """
        from abe_tf.data.sampling import ClassSampler

        of_tries = splits.train.labels
        of_all = np.concatenate([of_tries, splits.validation.labels])
        data = self.start.data
        if data.batches != "classes":
            return self
        classes, images = (
            data.fitted(np.unique(labels, return_counts=True)[1].tolist())
            for labels in (of_tries, of_all)
        )
        batches = {
            "classes_per_batch": classes.classes_per_batch,
            "images_per_class": images.images_per_class,
        }
        start = self.start.changed(batches)
        for labels in (of_tries, of_all):
            ClassSampler(
                *(labels, start.data.images_per_slot, start.training.seed),
                splits.train.class_names,
            )
        return dataclasses.replace(self, start=start)

    def plan(self) -> dict[str, list[trials.Trial]]:
        """The tries of each loss; the flags of the measured runs are checked too.

        Raises:
          InputError: A setting breaks a rule, or a run with other flags lies there.
        """
        planned = {}
        for loss in self.asked.losses:
            try:
                planned[loss] = self.tries(loss)
                self.measured(loss, {})
            except InputError as error:
                raise InputError(
                    f"{error} (--losses has {loss}; --ensembles has "
                    f"{', '.join(self.asked.ensembles)}.)"
                ) from error
        return planned

    def tries(self, loss: str) -> list[trials.Trial]:
        """The sweep around one loss, with one learner.

        Raises:
          InputError: A setting breaks a rule, or a run with other flags lies there.
        """
        return trials.plan(
            os.path.join(self.folder, "tries", loss),
            self.start.changed({**NETWORKS["none"], "metric_loss": loss}),
            self._swept(loss),
        )

    def choose(self, loss: str, tried: Sequence[trials.Trial]) -> dict[str, str]:
        """Runs the tries of a loss, and says which values are best.

        Args:
          loss: Name of the metric loss.
          tried: Its tries, as planned.

        Returns:
          The learning rate and the loss' own setting, by the flag's name. Each is the
          best of its values around the flags, by Recall@1 on held-out classes.
        """
        trials.run(tried)
        rows = trials.by_factor(tried, self._swept(loss))
        trials.write(os.path.join(self.folder, "tries", loss), rows)
        for factor, of_factor in rows.items():
            print(f"\n{points.as_text(factor, of_factor)}", flush=True)
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
        changes = {**NETWORKS[ensemble], **point.setting, "seed": point.seed}
        return self.start.changed({**changes, "validation_classes": 0})


@dataclasses.dataclass(frozen=True)
class Row:
    """A loss in the table of one network.

    Attributes:
      chosen: Learning rate and setting, by the flag's name.
      measured: On the test classes, one a seed.
      images: Queries and gallery of each run.
    """

    chosen: dict[str, str]
    measured: SweepRow
    images: frozenset[tuple[int, int]]

    @classmethod
    def of(cls, chosen: dict[str, str], runs: Sequence[trials.Trial]) -> Row:
        """Reads what was measured of runs that are done."""
        steps = runs[0].flags.training.steps
        results = [trial.point.results(steps) for trial in runs]
        found = [(r["num_queries"], r["num_gallery"]) for r in results if r]
        row = points.summarise(runs[0].setting["metric_loss"], results)
        return cls(chosen, row, frozenset(found))

    def content(self) -> dict[str, Any]:
        """The row as compared.json has it."""
        return {
            "chosen": self.chosen,
            "recall@1": self.measured.ensemble,
            "learners_recall@1": self.measured.individual,
            "self_pair_cosine": self.measured.self_pair_cosine,
        }


def write(path: str, tables: Mapping[str, Mapping[str, Row]]) -> None:
    """Writes the tables; what another call measured of other losses stays.

    Args:
      path: Path of compared.json.
      tables: By the network's name, then by the loss'.

    Raises:
      InputError: What lies there is damaged.
    """
    content: dict[str, dict[str, Any]] = {}
    try:
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                content = json.load(file)
        for network, rows in tables.items():
            measured = {loss: row.content() for loss, row in rows.items()}
            content[network] = {**content.get(network, {}), **measured}
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            "compared.json must be what a comparison wrote. "
            f"Received: {path!r}: {error}. Remove it and run the same command again: "
            "nothing is trained anew."
        ) from error
    write_atomically(path, json.dumps(content, indent=2) + "\n")


def check_one_test_set(rows: Iterable[Row]) -> None:
    """Refuses a table of runs that were measured on different images.

    Raises:
      InputError: They were: photos came or went between two sessions.
    """
    found = sorted(frozenset().union(*(row.images for row in rows)))
    if len(found) > 1:
        raise InputError(
            "The runs of a table must be measured on the same images. Received: "
            f"{found[0][0]} and {found[1][0]} queries. Give the photos of before, or "
            "compare anew in another --workdir."
        )


def as_text(network: str, rows: Mapping[str, Row]) -> str:
    """The table of one network, the best loss first.

    Args:
      network: Its name.
      rows: By the loss' name.
    """
    lines = [f"{network:18}{'Recall@1, %':>14}{'learners':>14}  chosen"]
    best_first = sorted(rows.items(), key=lambda item: -item[1].measured.recall)
    for loss, row in best_first:
        flags = " ".join(f"--{flag}={value}" for flag, value in row.chosen.items())
        lines.append(
            f"{loss:18}{mean_and_deviation(row.measured.ensemble):>14}"
            f"{mean_and_deviation(row.measured.individual):>14}  {flags}"
        )
    return "\n".join(lines)
