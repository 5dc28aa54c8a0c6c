"""The runs of a sweep, each a training of its own, and what they say together."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

from abe_tf.config.evaluation import PLACES
from abe_tf.errors import DivergedError, InputError
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

    @property
    def diverged(self) -> bool:
        """Whether its training ended because loss or gradient were no numbers."""
        return os.path.exists(self._mark)

    @property
    def _mark(self) -> str:
        return os.path.join(self.workdir, "diverged")

    def results(self, steps: int) -> dict[str, Any]:
        """What was measured of the last step.

        Args:
          steps: Number of steps of the training.

        Returns:
          The measurement; empty where there is none, or none of Recall@1.
        """
        wanted = measurements.key(self.split, f"step-{steps}")
        found = measurements.read(RunFolder(self.workdir).results).get(wanted, {})
        return found if "recall@1" in found.get("ensemble", {}) else {}

    def mark_diverged(self) -> None:
        """Notes that it did, so that nobody trains it again."""
        write_atomically(self._mark, "Loss or gradient were not finite.\n")


def run(point: Point, flags: RunFlags) -> None:
    """Trains and evaluates, unless that is done already, or diverged.

    Args:
      point: Which training.
      flags: Its flags.

    Raises:
      InputError: A command failed; it has said why.
    """
    steps = flags.training.steps
    if point.diverged or point.results(steps):
        return
    os.makedirs(point.workdir, exist_ok=True)
    flagfile = os.path.join(point.workdir, "started_with.cfg")
    write_atomically(flagfile, flags.text())
    train = ("abe_tf.train", f"--flagfile={flagfile}", f"--workdir={point.workdir}")
    if _command(*train) == DivergedError.status:
        point.mark_diverged()
        return
    # The run may have begun when the photos were elsewhere.
    places = {name: getattr(flags.data, name) for name in PLACES}
    _command(
        "abe_tf.evaluate",
        f"--workdir={point.workdir}",
        *(f"--split={point.split}", "--checkpoint=last"),
        *(f"--{name}={value}" for name, value in places.items() if value is not None),
    )
    if not point.results(steps):
        raise InputError(
            f"Every run must be measured after its last step, {steps}. Received: "
            f"{point.workdir!r}, where there is none. Run the same command again: it "
            "goes on there."
        )


def _command(module: str, *flags: str) -> int:
    """Runs a command to its end; a signal is passed on, and it may finish its step.

    Returns:
      0, or the status of a training that diverged.
    """
    # Ctrl-C in a terminal would reach it twice otherwise, and the second stops at once.
    process = subprocess.Popen(
        [sys.executable, "-m", module, *flags],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    received: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        received.append(number)
        process.send_signal(number)

    stopping = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, pass_on) for number in stopping}
    try:
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        print("Stopped. The same command goes on from here.")
        sys.exit(128 + received[0])
    if status not in (0, DivergedError.status):
        raise InputError(
            f"Every run must succeed. Received: {module} with exit status {status}. "
            "Correct it and run the same command again: it goes on there."
        )
    return status


def summarise(value: str, results: Sequence[dict[str, Any]]) -> SweepRow:
    """What the runs with one value of a factor say together.

    Args:
      value: The value.
      results: What was measured; empty for a run that diverged.
    """
    if not all(results):
        return SweepRow(value, [], [], [])
    cosines = [result["self_pair_cosine"] for result in results]
    return SweepRow(
        value,
        [result["ensemble"]["recall@1"] for result in results],
        [result["individual_mean"]["recall@1"] for result in results],
        [cosine for cosine in cosines if cosine is not None],
    )


def best(rows: Sequence[SweepRow]) -> SweepRow:
    """The row with the highest Recall@1 of the ensemble, by the mean over runs.

    Of equals the one in the middle. A value with a run that diverged is none.

    Raises:
      InputError: With every value a run diverged.
    """
    highest = max(row.recall for row in rows)
    if highest == -math.inf:
        values = ", ".join(row.value for row in rows)
        raise InputError(
            "A value must train without diverging. Received: none of "
            f"{values} does. Try lower learning rates in another --workdir."
        )
    equals = [row for row in rows if row.recall == highest]
    return equals[len(equals) // 2]


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
