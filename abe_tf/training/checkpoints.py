"""Checkpoints that a run goes on from: the last ones, and the best one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from abe_tf.errors import InputError
from abe_tf.storage import checkpoints, folders
from abe_tf.storage.contents import contents
from abe_tf.storage.restoring import restore_newest
from abe_tf.training.trainer import EnsembleTrainer

# What TensorFlow and Python raise where a disk is full or cannot be written.
_CANNOT_WRITE = (tf.errors.OpError, OSError)
# Where a checkpoint has the classes that the loss has variables for.
_CLASSES = "metric_loss/classes/.ATTRIBUTES/VARIABLE_VALUE"


class Checkpoints:
    """Weights, optimizers, step and best recall of a run, on disk.

    The step is the position of sampler and augmentation too: both are functions of the
    seed and the number of the batch. Each checkpoint is a folder of its own, written
    beside under another name, made to reach the disk, and renamed. Build it within the
    strategy's scope.

    Args:
      trainer: Compiled.
      last_dir: Folder of the last checkpoints.
      best_dir: Folder of the best one.
      keep: Number of last checkpoints that stay.
      say: Tells of what could not be written or read.
      writes: Whether this process writes. Of several that train together all must
        take part, since each holds a part of some variables; only one writes here.
      class_names: Names of the data set's classes by label, for messages.
    """

    def __init__(
        self,
        trainer: EnsembleTrainer,
        last_dir: str,
        best_dir: str,
        keep: int,
        say: Callable[[str], None],
        writes: bool = True,
        class_names: Sequence[str] = (),
    ) -> None:
        self._class_names = class_names
        self._trainer, self._keep = trainer, keep
        self._last_dir, self._best_dir = last_dir, best_dir
        self._say, self._writes = say, writes
        self._best = tf.Variable(-1.0, trainable=False, name="best_recall")
        self._evaluated = tf.Variable(
            0, trainable=False, name="evaluated", dtype="int64"
        )
        self._measured: tuple[int, Mapping[str, str]] = 0, {}

    def restore(self) -> int:
        """Goes back to the last checkpoint that can be read.

        Returns:
          Its step, or 0 where there is none.

        Raises:
          InputError: There are some, and none can be read.
        """
        if self._writes:
            for folder in (self._last_dir, self._best_dir):
                folders.clear(folder)
        steps = checkpoints.steps(self._last_dir)
        if not steps:
            return 0
        for step in steps:
            self._check_classes(checkpoints.path(self._last_dir, step))
        restore_newest(self._checkpoint(), self._last_dir, self._say)
        return self.step()

    def _check_classes(self, path: str) -> None:
        """Refuses a checkpoint whose loss has its variables for other classes."""
        state = self._trainer.state_of_loss().get("metric_loss")
        if state is None:
            return
        try:
            reader = tf.train.load_checkpoint(checkpoints.prefix(path))
            theirs = set(reader.get_tensor(_CLASSES).tolist())
        except (tf.errors.OpError, ValueError):  # torn, or of another loss
            return
        ours = set(tf.convert_to_tensor(state.classes).numpy().tolist())
        if theirs != ours:
            names = [self._class_names[label] for label in sorted(theirs ^ ours)]
            raise InputError(
                "A run whose loss has variables of its own must train the classes that "
                f"it was started with. Received: {len(ours)} instead of {len(theirs)}; "
                f"the first that differs: {names[0]}. Bring its photos back, or start "
                "another run."
            )

    def step(self) -> int:
        """Steps done."""
        return int(tf.convert_to_tensor(self._trainer.step))

    @property
    def evaluated_step(self) -> int:
        """The last step that was evaluated; 0 for none."""
        return int(tf.convert_to_tensor(self._evaluated))

    def evaluated(self, files: Mapping[str, str]) -> None:
        """Notes that the state as it is was evaluated.

        Args:
          files: What was measured and belongs to these weights, as text by the name of
            a file: it lies in their checkpoints.
        """
        self._evaluated.assign(self.step())
        self._measured = self.step(), files

    def save(self) -> str | None:
        """Writes the state as it is.

        Returns:
          Where; `None` where it could not be written, which is said.
        """
        path = self._write(self._last_dir)
        for step in checkpoints.steps(self._last_dir)[: -self._keep]:
            self._remove(self._last_dir, step)
        return path

    def save_if_best(self, recall: float) -> bool:
        """Writes the state as the best one if its recall is no lower than any before.

        Among equals the later one is kept: few classes are soon all found, while the
        embedding still improves.
        """
        before = float(tf.convert_to_tensor(self._best))
        if recall < before:
            return False
        self._best.assign(recall)
        if self._write(self._best_dir) is None:
            self._best.assign(before)
            return False
        for step in checkpoints.steps(self._best_dir):
            if step != self.step():
                self._remove(self._best_dir, step)
        return True

    def _checkpoint(self) -> tf.train.Checkpoint:
        return contents(
            self._trainer.network,
            self._trainer.averages(),
            encoder_optimizer=self._trainer.encoder_optimizer,
            new_layer_optimizer=self._trainer.new_layer_optimizer,
            step=self._trainer.step,
            best_recall=self._best,
            evaluated=self._evaluated,
            **self._trainer.state_of_loss(),
            **self._trainer.state_of_rho(),
        )

    def _write(self, folder: str) -> str | None:
        step = self.step()
        try:
            with folders.incomplete(folder) as beside:
                self._checkpoint().write(checkpoints.prefix(beside))
                if not self._writes:
                    return beside
                self._write_measured(beside, step)
                return checkpoints.publish(beside, step)
        except _CANNOT_WRITE as error:
            reason = str(error).partition("\n")[0]
            last = checkpoints.steps(folder)[-1:]
            good = f"step {last[0]}'s" if last else "none"
            self._say(
                f"step {step}: NO CHECKPOINT in {folder}: {reason}. "
                f"The last good one is {good}; free the disk."
            )
            return None

    def _write_measured(self, beside: str, step: int) -> None:
        measured_step, files = self._measured
        for name, text in files.items() if measured_step == step else ():
            with open(os.path.join(beside, name), "x", encoding="utf-8") as file:
                file.write(text)

    def _remove(self, folder: str, step: int) -> None:
        if not self._writes:
            return
        try:
            checkpoints.remove(folder, step)
        except OSError as error:
            self._say(f"Step {step}'s checkpoint stays in {folder}: {error}")
