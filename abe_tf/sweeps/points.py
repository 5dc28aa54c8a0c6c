"""The runs of a sweep, each a training of its own, and what they say together."""

from __future__ import annotations

import dataclasses
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

from abe_tf.config.evaluation import PLACES
from abe_tf.errors import InputError
from abe_tf.figures.ablation import SweepRow, mean_and_deviation
from abe_tf.runs import measurements
from abe_tf.runs.flags import RunFlags
from abe_tf.runs.folder import RunFolder
from abe_tf.storage.files import write_atomically


@dataclasses.dataclass(frozen=True)
class Point:
    """One training.

    Attributes:
      folder: Folder of the sweep.
      setting: What it changes, by the flag's name.
      seed: Seed of the run.
      split: What it is measured on.
    """

    folder: str
    setting: dict[str, str]
    seed: int
    split: str = "validation"

    @property
    def name(self) -> str:
        """Of its run folder, told from the others' by what it changes."""
        changes = [f"{name}={value}" for name, value in self.setting.items()]
        return ",".join([*changes, f"seed={self.seed}"]).replace(os.sep, "_")

    @property
    def workdir(self) -> str:
        """Its run folder."""
        return os.path.join(self.folder, self.name)

    def results(self, steps: int) -> dict[str, Any]:
        """What was measured of the last step.

        Args:
          steps: Number of steps of the training.

        Returns:
          The measurement; empty where there is none.
        """
        wanted = measurements.key(self.split, f"step-{steps}")
        return measurements.read(RunFolder(self.workdir).results).get(wanted, {})


def run(point: Point, flags: RunFlags) -> None:
    """Trains and evaluates, unless that is done already.

    Args:
      point: Which training.
      flags: Its flags.

    Raises:
      InputError: A command failed; it has said why.
    """
    if point.results(flags.training.steps):
        return
    os.makedirs(point.workdir, exist_ok=True)
    flagfile = os.path.join(point.workdir, "started_with.cfg")
    write_atomically(flagfile, flags.text())
    _command("abe_tf.train", f"--flagfile={flagfile}", f"--workdir={point.workdir}")
    # The run may have begun when the photos were elsewhere.
    places = {name: getattr(flags.data, name) for name in PLACES}
    _command(
        "abe_tf.evaluate",
        f"--workdir={point.workdir}",
        *(f"--split={point.split}", "--checkpoint=last"),
        *(f"--{name}={value}" for name, value in places.items() if value is not None),
    )


def _command(module: str, *flags: str) -> None:
    """Runs a command; a signal is passed on to it, and it may finish its step."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *flags], stdout=subprocess.DEVNULL
    )

    def pass_on(number: int, frame: FrameType | None) -> None:
        process.send_signal(number)

    before = {n: signal.signal(n, pass_on) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if status in (128 + signal.SIGINT, 128 + signal.SIGTERM):
        print("Stopped. The same command goes on from here.")
        sys.exit(status)
    if status:
        raise InputError(
            f"Every run of a sweep must succeed. Received: {module} with exit status "
            f"{status}. Correct it and run the same command again: it goes on there."
        )


def summarise(value: str, results: Sequence[dict[str, Any]]) -> SweepRow:
    """What the runs with one value of a factor say together."""
    cosines = [result["self_pair_cosine"] for result in results]
    return SweepRow(
        value,
        [result["ensemble"]["recall@1"] for result in results],
        [result["individual_mean"]["recall@1"] for result in results],
        [cosine for cosine in cosines if cosine is not None],
    )


def best(rows: Sequence[SweepRow]) -> SweepRow:
    """The row with the highest Recall@1 of the ensemble, by the mean over runs."""
    return max(rows, key=lambda row: statistics.mean(row.ensemble))


def as_text(factor: str, rows: Sequence[SweepRow]) -> str:
    """A table of one factor; the best value, by the mean over runs, is marked."""
    marked = best(rows)
    width = max(len(factor), *(len(row.value) for row in rows))
    lines = [
        f"{factor:{width}}  {'Recall@1, %':>16}{'learners':>16}{'self-pair cosine':>18}"
    ]
    for row in rows:
        cosines = row.self_pair_cosine
        cosine = f"{statistics.mean(cosines):.2f}" if cosines else "-"
        lines.append(
            f"{row.value:{width}}  {mean_and_deviation(row.ensemble):>16}"
            f"{mean_and_deviation(row.individual):>16}{cosine:>18}"
            f"{'  best' if row is marked else ''}"
        )
    return "\n".join(lines)
