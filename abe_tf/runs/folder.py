"""The run folder: what lies in it, and who may write there.

WORKDIR/flags.cfg     the flags, to be read again with --flagfile
WORKDIR/classes.txt   the names of the classes, so that no other data set slips in
WORKDIR/run.json      versions, git revision, machine
WORKDIR/checkpoints/  the last ones, to go on from
WORKDIR/best/         the best by validation recall
WORKDIR/metrics.jsonl every number that TensorBoard shows, one line of JSON per report
WORKDIR/tensorboard/  event files
WORKDIR/results.json  what evaluation measured, by split and checkpoint
WORKDIR/embeddings_SPLIT.npz  embeddings and ranks of what was measured last
WORKDIR/training.lock held by the training that writes here
WORKDIR/.lock         held while results.json changes
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator, Sequence

from abe_tf.config.data import DataConfig
from abe_tf.config.evaluation import CHECKPOINTS
from abe_tf.data.photos import normalised
from abe_tf.errors import InputError
from abe_tf.runs import machine
from abe_tf.runs.flags import FOLLOW_DATA, RunFlags
from abe_tf.storage import checkpoints
from abe_tf.storage.files import (
    check_place,
    check_writable,
    made,
    read_lines,
    read_text,
    write_atomically,
)
from abe_tf.storage.locks import TakenError, claimed


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Names of what lies in a run folder."""

    path: str

    @property
    def flagfile(self) -> str:
        """The flagfile."""
        return os.path.join(self.path, "flags.cfg")

    @property
    def domains(self) -> str:
        """The domains that train, where batches are made of these."""
        return os.path.join(self.path, "domains.txt")

    @property
    def classes(self) -> str:
        """The names of the data set's classes, one a line, by label."""
        return os.path.join(self.path, "classes.txt")

    @property
    def tensorboard(self) -> str:
        """Folder of event files."""
        return os.path.join(self.path, "tensorboard")

    @property
    def metrics(self) -> str:
        """Numbers of training, as lines of JSON."""
        return os.path.join(self.path, "metrics.jsonl")

    @property
    def record(self) -> str:
        """Versions, git revision, machine."""
        return os.path.join(self.path, "run.json")

    @property
    def results(self) -> str:
        """What evaluation measured."""
        return os.path.join(self.path, "results.json")

    def embeddings(self, split: str) -> str:
        """Embeddings of a split, and what was measured of them."""
        return os.path.join(self.path, f"embeddings_{split}.npz")

    def checkpoints(self, which: str) -> str:
        """Folder of the checkpoints, "best" or "last"."""
        return os.path.join(self.path, "best" if which == "best" else "checkpoints")

    def newest(self, which: str) -> str:
        """Name of the newest checkpoint, "best" or "last"; "" where there is none."""
        steps = checkpoints.steps(self.checkpoints(which))
        return os.path.basename(checkpoints.path("", steps[-1])) if steps else ""

    def other_checkpoint(self, checkpoint: str) -> str | None:
        """The other of "best" and "last", if there is one and it is another step."""
        best, last = (self.newest(which) for which in ("best", "last"))
        if not best or not last or best == last:
            return None
        return "last" if checkpoint == "best" else "best"

    def check_writable(self) -> None:
        """Tries to write, and leaves nothing behind.

        Raises:
          InputError: The folder cannot be written.
        """
        check_place("workdir", self.path)
        check_writable("workdir", self.path)

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """Holds the folder for one training, on whatever host others may start.

        The lock is free as soon as this process ends, however it ends. Where nothing
        of a run was written, folder and lock are gone at the end.

        Raises:
          InputError: Another training holds it, or its lock cannot be had.
        """
        lock = os.path.join(self.path, "training.lock")
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(made(self.path))
                held.enter_context(claimed(lock))
            except TakenError as error:
                raise InputError(
                    "One training at a time may write a run folder. Received: "
                    f"{self.path!r}, where {error} is training. Wait for it or stop "
                    "it, or choose another --workdir."
                ) from error
            except OSError as error:
                raise InputError(
                    "The lock of a run folder must be a file that can be opened. "
                    f"Received: {lock!r}: {error.strerror}. Choose another --workdir."
                ) from error
            try:
                yield
            finally:
                if not os.path.exists(self.flagfile):
                    with contextlib.suppress(OSError):
                        os.remove(lock)

    def check_may_train(self, flags: RunFlags) -> None:
        """Checks that a training with these flags may go on here; changes nothing.

        Raises:
          InputError: The folder holds a run with other flags.
        """
        if not os.path.exists(self.flagfile):
            return
        differing = flags.differing(self.flags())
        if differing:
            raise InputError(
                f"A run goes on with the flags that it started with ({self.flagfile}). "
                f"Received: {', '.join(differing)}. Choose another --workdir, or start "
                "from its weights with --init_from."
            )

    def write_record(
        self, flags: RunFlags, class_names: Sequence[str], devices: Sequence[str]
    ) -> None:
        """Writes the flags and what else is needed to repeat the run.

        Args:
          flags: The run's flags.
          class_names: Class names of the whole data set, by label.
          devices: What it trains on, as TensorFlow calls it.
        """
        os.makedirs(self.path, exist_ok=True)
        write_atomically(self.flagfile, flags.text())
        names = "".join(f"{name}\n" for name in class_names)
        write_atomically(self.classes, names)
        record = {**machine.describe(devices), "seed": flags.training.seed}
        text = json.dumps(record, indent=2) + "\n"
        write_atomically(self.record, text)

    def go_on_to(self, steps: int) -> int | None:
        """Records that a run goes further than it was meant to.

        Args:
          steps: How far it goes now.

        Returns:
          How far it went before; `None` where that is no less.
        """
        recorded = self.flags()
        before = recorded.training.steps
        if steps <= before:
            return None
        write_atomically(self.flagfile, recorded.changed({"steps": steps}).text())
        return before

    def data(self, data: DataConfig) -> DataConfig:
        """Data flags as the run has them where they may be left out."""
        if not os.path.exists(self.flagfile):
            return data
        ours = self.flags().data
        left_out = {
            name: getattr(ours, name)
            for name in FOLLOW_DATA
            if getattr(data, name) is None
        }
        return dataclasses.replace(data, **left_out)

    def check_classes(self, class_names: Sequence[str]) -> None:
        """Refuses another data set than the run was started with.

        Classes are told by their number: with one folder more, a class that trained
        could test.

        Args:
          class_names: Class names of the whole data set, by label.

        Raises:
          InputError: They are not those that training saw.
        """
        if not os.path.exists(self.classes):
            return
        # Older runs have them as they were written.
        theirs = [normalised(name) for name in read_lines(self.classes)]
        if list(class_names) != theirs:
            other = [*sorted({*class_names} ^ {*theirs}), "none but their order"]
            raise InputError(
                "A run needs the classes that it was started with "
                f"({self.classes}). Received: {len(class_names)} classes instead of "
                f"{len(theirs)}; the first that differs: {other[0]}."
            )

    def check_domains(self, names: Sequence[str]) -> None:
        """Refuses other domains than those that the run was started with.

        Args:
          names: Domains that train, in order.

        Raises:
          InputError: They are others.
        """
        if not os.path.exists(self.domains):
            return
        theirs = read_lines(self.domains)
        if list(names) != theirs:
            other = min({*names} ^ {*theirs})
            raise InputError(
                "A run needs the domains that it was started with "
                f"({self.domains}). Received: {len(names)} domains instead of "
                f"{len(theirs)}; the first that differs: {other}."
            )

    def write_domains(self, names: Sequence[str]) -> None:
        """Writes which domains train."""
        write_atomically(self.domains, "".join(f"{name}\n" for name in names))

    def flags(self) -> RunFlags:
        """The flags of the run.

        Raises:
          InputError: The folder holds no run, or one of an incompatible version.
        """
        try:
            text = read_text(self.flagfile)
        except OSError as error:
            raise InputError(
                "--workdir must be a run folder that training wrote. "
                f"Received: {self.path!r}, without flags.cfg. Train first."
            ) from error
        return RunFlags.parse(text)

    def with_checkpoints(self, which: str) -> str:
        """The folder of some checkpoints, or of one.

        Args:
          which: "best", the last ones where no best one was chosen, "last", or the
            folder of one checkpoint of this run.

        Raises:
          InputError: There are none, or the one is of another run.
        """
        if which not in CHECKPOINTS:
            return self._of_this_run(which)
        for kind in dict.fromkeys([which, "last"]):
            if checkpoints.steps(self.checkpoints(kind)):
                return self.checkpoints(kind)
        raise InputError(
            "--workdir must hold a checkpoint. "
            f"Received: {self.path!r} without one. Let training write one first."
        )

    def _of_this_run(self, checkpoint: str) -> str:
        ours = {os.path.realpath(self.checkpoints(which)) for which in CHECKPOINTS}
        real = os.path.realpath(checkpoint)
        if os.path.dirname(real) not in ours:
            raise InputError(
                "--checkpoint must be best, last, or the folder of a checkpoint of "
                f"this run. Received: {checkpoint!r}, which does not lie in "
                f"{self.path!r}. Give that run's --workdir."
            )
        # Results are filed by its name, which a link need not have.
        return real
