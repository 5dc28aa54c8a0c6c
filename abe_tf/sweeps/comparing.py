"""Rows of a table on one footing: tried alike on held-out classes, then measured."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from abe_tf.config.compare import SETTINGS, CompareConfig
from abe_tf.config.loss import loss_of
from abe_tf.config.sweep import SweepConfig
from abe_tf.errors import InputError
from abe_tf.figures.ablation import SweepRow
from abe_tf.runs.flags import FOLLOW_DATA, RunFlags
from abe_tf.sweeps import points, rows, trials

if TYPE_CHECKING:
    from abe_tf.data.examples import Examples, Splits

# By ensemble, or by normalisation; one a seed.
Runs = dict[str, list[trials.Trial]]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What is compared, and where the runs lie.

    Attributes:
      folder: Folder of all runs: `tries/ROW`, sweeps; by ensemble or normalisation,
        the measured runs. With budgets each has such a folder, `steps=STEPS`.
      start: Flags that all runs share.
      asked: Losses, ensembles or normalisations; tries and seeds.
      of_budget: Whether it is of one budget among others.
    """

    folder: str
    start: RunFlags
    asked: CompareConfig
    of_budget: bool = False

    def check(self) -> None:
        """Refuses flags that the comparison sets itself, or cannot do with.

        Raises:
          InputError: There is one.
        """
        flags = self.start
        if flags.training.init_from:
            raise InputError(
                "A comparison's networks are several, and its tries hold classes out. "
                f"Received: --init_from={flags.training.init_from}. Leave it out."
            )
        if self.asked.rows == "normalizations":
            self._check_counted()
            return
        if flags.model.ensemble in ("hdc", "bier"):
            raise InputError(
                "--ensembles names the networks. Received: --ensemble="
                f"{flags.model.ensemble}. Leave --ensemble out."
            )
        if flags.loss.metric_loss != loss_of(flags.model.ensemble):
            raise InputError(
                "--losses names the losses. Received: --metric_loss="
                f"{flags.loss.metric_loss}. Leave --metric_loss out."
            )
        if self.asked.budgets and self.asked.budgets[-1] >= flags.training.steps:
            raise InputError(
                "--budgets are shorter than the trainings of the table. Received: "
                f"{self.asked.budgets[-1]} with --steps={flags.training.steps}. Give "
                "more steps, or leave it out."
            )
        if flags.model.learner_weights or flags.model.learner_dims:
            raise InputError(
                "A comparison's networks differ in their learners. Received: "
                "--learner_weights or --learner_dims. Leave them out."
            )
        several = [
            name for name in self.asked.networks if name in ("heads", "abe", "learner")
        ]
        if several and flags.model.num_learners < 2:
            raise InputError(
                f"--ensembles={several[0]} needs --num_learners of 2 or more. "
                f"Received: {flags.model.num_learners}. Give it, or --ensembles=none."
            )
        for loss in self.asked.losses if self.asked.rows == "losses" else ():
            name, values = SETTINGS[loss]
            given = getattr(flags.loss, name)
            if given not in values:
                raise InputError(
                    f"--{name} is tried at {', '.join(map(str, values))} for {loss}. "
                    f"Received: {given}. Leave --{name} out."
                )

    def _check_counted(self) -> None:
        """Refuses flags that do not say how many images the steps see."""
        data, training = self.start.data, self.start.training
        if not training.meta:
            raise InputError(
                "--rows=normalizations takes flags of the row with the meta step, and "
                "leaves it out of the others. Received: no --meta. Give "
                "--normalization=batch_instance --meta --domains_per_batch=3."
            )
        counted = ["domains_per_batch"]
        if data.batches in ("classes", "domains"):
            counted += ["classes_per_batch", "images_per_class"]
        for name in counted:
            if getattr(data, name) is None:
                raise InputError(
                    "--rows=normalizations compares at as many images seen, and tries "
                    f"hold some out. Received: no --{name}. Give it."
                )

    def fitted(self, splits: Splits, whole: Examples) -> Comparison:
        """The same comparison with batches alike in tries and measured runs.

        Tries have fewer classes, and the smallest class may be one they hold out:
        left to the data, or found too large, batches are so before the first run.

        Args:
          splits: Images, with the classes that the tries hold out.
          whole: Images that the measured runs train on.

        Raises:
          InputError: Batches of these flags cannot be filled.
        """
        from abe_tf.data import datasets, samplers
        from abe_tf.data.sampling import ClassSampler

        both = (splits.train, whole)
        data, training = self.start.data, self.start.training
        if training.meta:
            for examples in both:
                samplers.of_meta(data, training, examples, training.seed)
        if data.batches == "domains":
            fitted = datasets.fitted(data, splits)
            for examples in both:
                samplers.create(fitted, examples, training.seed)
            sizes = {name: getattr(fitted, name) for name in FOLLOW_DATA}
            return dataclasses.replace(self, start=self.start.changed(sizes))
        if data.batches != "classes":
            return self
        classes, images = (
            data.fitted(np.unique(examples.labels, return_counts=True)[1].tolist())
            for examples in both
        )
        batches = {
            "classes_per_batch": classes.classes_per_batch,
            "images_per_class": images.images_per_class,
        }
        start = self.start.changed(batches)
        for examples in both:
            ClassSampler(
                *(examples.labels, start.data.images_per_slot, start.training.seed),
                splits.train.class_names,
            )
        return dataclasses.replace(self, start=start)

    def plan(self) -> dict[str, list[trials.Trial]]:
        """The tries of each row; the flags of the measured runs are checked too.

        Raises:
          InputError: A setting breaks a rule, or a run with other flags lies there.
        """
        planned = {}
        for row in self.asked.names:
            try:
                planned[row] = self._first(row)
                self.measured(row, {})
            except InputError as error:
                others = ", ".join(self.asked.networks)
                beside = f"; --ensembles has {others}" * (self.asked.rows == "losses")
                raise InputError(
                    f"{error} (--{self.asked.rows} has {row}{beside}.)"
                ) from error
        return planned

    def _first(self, row: str) -> list[trials.Trial]:
        if not self.asked.budgets:
            return self.tries(row)
        rate = str(self.start.training.learning_rate)
        return self.at(self.asked.budgets[0], rate).tries(row)

    def tries(self, row: str) -> list[trials.Trial]:
        """The sweep around one row; around a loss with one learner.

        Raises:
          InputError: A setting breaks a rule, or a run with other flags lies there.
        """
        by_losses = self.asked.rows == "losses"
        if by_losses:
            of_row = self.start.changed(rows.one_learner(row))
        else:
            of_row = self._flags(row)
        folder = os.path.join(self.folder, "tries", row)
        return trials.plan(folder, of_row, self._swept(row), named=self.of_budget)

    def at(self, steps: int, rate: str) -> Comparison:
        """The same tries at another budget, in a folder of their own.

        Args:
          steps: Steps of the training; warm-up, decay and the start of the divergence
            are in proportion.
          rate: The learning rate around which others are tried; with all steps alone.
        """
        all_steps = self.start.training.steps
        factors = (1.0,) if steps == all_steps else self.asked.rate_factors
        shorter = rows.lasting(self.start, steps / all_steps)
        return Comparison(
            self._rung(steps),
            self.start.changed({**shorter, "learning_rate": rate}),
            dataclasses.replace(self.asked, budgets=(), rate_factors=factors),
            of_budget=True,
        )

    def choose(self, row: str, tried: Sequence[trials.Trial]) -> dict[str, SweepRow]:
        """Runs the tries of a row, and says which values are best.

        Args:
          row: Name of the metric loss, the ensemble or the normalisation.
          tried: Its tries, as planned.

        Returns:
          By the name of the flag, learning rate and a loss' own setting: the best of
          its values around the flags, by Recall@1 on held-out classes.
        """
        trials.run(tried)
        found = trials.by_factor(tried, self._swept(row))
        trials.write(os.path.join(self.folder, "tries", row), found)
        best = {factor: points.best(values) for factor, values in found.items()}
        for factor, of_factor in found.items():
            print(f"\n{points.as_text(factor, of_factor)}", flush=True)
            ends = {of_factor[0].value: "lowest", of_factor[-1].value: "highest"}
            if len(of_factor) > 1 and best[factor].value in ends:
                end = ends[best[factor].value]
                print(f"The best is the {end} of these: one beyond may be better.")
        return best

    def measured(self, row: str, chosen: Mapping[str, str]) -> Runs:
        """The runs that the table is of: of all training classes, on the test classes.

        Args:
          row: Name of the metric loss, the ensemble or the normalisation.
          chosen: Learning rate and setting.

        Returns:
          By ensemble or normalisation, one a seed.

        Raises:
          InputError: A setting breaks a rule, or a run with other flags lies there.
        """
        first = self.start.training.seed
        seeds = range(first, first + self.asked.seeds)
        by_losses = self.asked.rows == "losses"
        setting = {"metric_loss": row, **chosen} if by_losses else dict(chosen)
        runs: Runs = {}
        parent = self.folder
        if self.asked.budgets:
            parent = self._rung(self.start.training.steps)
        for name in self.asked.networks if by_losses else (row,):
            folder = os.path.join(parent, name)
            at = [points.Point(folder, setting, seed, "test") for seed in seeds]
            runs[name] = [
                trials.Trial.checked(setting, point, self._measured(point, name))
                for point in at
            ]
        return runs

    def _rung(self, steps: int) -> str:
        return os.path.join(self.folder, f"steps={steps}")

    def _swept(self, row: str) -> SweepConfig:
        return self.asked.tries(row, self.start.training.learning_rate)

    def _flags(self, name: str) -> RunFlags:
        """Flags of an ensemble, or of a normalisation."""
        if self.asked.rows == "normalizations":
            return rows.normalized(self.start, name)
        return self.start.changed(rows.network(name, self.start.model))

    def _measured(self, point: points.Point, name: str) -> RunFlags:
        held_out = {"validation_classes": 0, "validation_domains": ""}
        changes = {**point.setting, "seed": point.seed, **held_out}
        return self._flags(name).changed(changes)
