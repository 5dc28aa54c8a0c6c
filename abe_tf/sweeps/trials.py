"""What a sweep tries: planned whole before the first run, then run one by one."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from abe_tf.config.data import DataConfig
from abe_tf.config.sweep import SweepConfig
from abe_tf.errors import InputError
from abe_tf.figures.ablation import SweepRow
from abe_tf.runs.flags import RunFlags
from abe_tf.runs.folder import RunFolder
from abe_tf.storage.files import write_atomically
from abe_tf.sweeps import points

if TYPE_CHECKING:
    from abe_tf.data.examples import Splits


@dataclasses.dataclass(frozen=True)
class Trial:
    """One training, and what it is a try of.

    Attributes:
      setting: What is tried, by the flag's name.
      point: Where it lies.
      flags: Its flags.
    """

    setting: dict[str, str]
    point: points.Point
    flags: RunFlags

    @classmethod
    def checked(
        cls, setting: dict[str, str], point: points.Point, flags: RunFlags
    ) -> Trial:
        """A trial that may begin or go on where its point lies.

        Raises:
          InputError: A run with other flags lies there.
        """
        folder = RunFolder(point.workdir)
        folder.check_may_train(flags)
        if os.path.exists(folder.flagfile):
            _check_alike(point.workdir, flags, folder.flags())
        return cls(setting, point, flags)


def plan(
    folder: str, start: RunFlags, sweep: SweepConfig, named: bool = False
) -> list[Trial]:
    """Every training of a sweep.

    Args:
      folder: Folder of the sweep.
      start: Flags that it varies.
      sweep: Factors and seeds.
      named: Whether also a run of the flags as they are is named by what a factor has
        there: where other flags may start a sweep in the same folder.

    Raises:
      InputError: A setting breaks a rule, or a run with other flags lies there.
    """
    planned = []
    first = start.training.seed
    for setting in sweep.settings():
        # What a factor leaves as the flagfile has it is one run for all factors.
        as_it_is = not named and start.changed(setting) == start
        changes = {} if as_it_is else setting
        for seed in range(first, first + sweep.seeds):
            point = points.Point(folder, changes, seed)
            flags = start.changed({**setting, "seed": seed})
            planned.append(Trial.checked(setting, point, flags))
    return planned


def _check_alike(workdir: str, flags: RunFlags, theirs: RunFlags) -> None:
    """Refuses to count a run as one of a sweep that starts from something else.

    A run alone may go further, or go on where its first weights are no more.
    """
    ours, before = flags.values(), theirs.values()
    for name in ("steps", "encoder_weights", "init_from"):
        now, then = ours[name], before[name]
        # A file may have moved.
        if os.path.basename(str(now)) != os.path.basename(str(then)):
            raise InputError(
                f"Runs that are compared have one --{name}. Received: {now}, and "
                f"{workdir!r} was started with {then}. Choose another --workdir."
            )


def check_held_out(data: DataConfig, planned: Sequence[Trial], what: str) -> Splits:
    """Refuses data of which nothing would be held out, or other data than before.

    Args:
      data: The data of all runs.
      planned: The runs; of those that were begun the classes are looked at.
      what: Who asks, such as "A sweep".

    Returns:
      The images.

    Raises:
      InputError: None are to be held out, there are too few, or a run that was begun
        has other classes.
    """
    if not (data.validation_classes or data.validation_domains):
        raise InputError(
            f"{what} chooses on held-out training classes or domains. "
            "Received: --validation_classes=0. Set it, to 0.5 for instance, or "
            "--validation_domains."
        )
    import tensorflow as tf

    from abe_tf.data import datasets

    # The runs, processes of their own, need all of it.
    tf.config.set_visible_devices([], "GPU")
    splits = datasets.load(data)
    for trial in planned:
        RunFolder(trial.point.workdir).check_classes(splits.train.class_names)
    if not len(splits.validation):
        raise InputError(
            f"{what} chooses on held-out training classes. Received: too few to hold "
            "any out. Add classes of photos."
        )
    return splits


def run(trials: Sequence[Trial]) -> None:
    """Trains and measures what is missing."""
    for number, trial in enumerate(trials, 1):
        print(f"[{number}/{len(trials)}] {trial.point.name}", flush=True)
        points.run(trial.point, trial.flags)


def by_factor(trials: Sequence[Trial], sweep: SweepConfig) -> dict[str, list[SweepRow]]:
    """What was measured, a row a value.

    Args:
      trials: As planned, all run.
      sweep: As it was planned.
    """
    results = [
        (trial.setting, trial.point.results(trial.flags.training.steps))
        for trial in trials
    ]
    return {
        factor: [
            points.summarise(value, [r for s, r in results if s.get(factor) == value])
            for value in values
        ]
        for factor, values in sweep.factors().items()
    }


def write(folder: str, rows: dict[str, list[SweepRow]]) -> None:
    """Writes sweep.json, which `abe_tf.report` draws."""
    content = {
        factor: [dataclasses.asdict(row) for row in of_factor]
        for factor, of_factor in rows.items()
    }
    path = os.path.join(folder, "sweep.json")
    write_atomically(path, json.dumps(content, indent=2) + "\n")
