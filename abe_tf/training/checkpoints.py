"""Checkpoints that a run goes on from: the last ones, and the best one."""

from __future__ import annotations

import os
import pathlib

import tensorflow as tf

from abe_tf.errors import InputError
from abe_tf.restoring import restore
from abe_tf.training.trainer import EnsembleTrainer


class Checkpoints:
    """Weights, optimizers, step and best recall of a run, on disk.

    The step is the position of sampler and augmentation too: both are functions of the
    seed and the number of the batch. TensorFlow writes a checkpoint's files under
    temporary names and names a new checkpoint the latest only when it is complete.

    Args:
      trainer: Compiled.
      last_dir: Folder of the last two checkpoints.
      best_dir: Folder of the best one.
    """

    def __init__(self, trainer: EnsembleTrainer, last_dir: str, best_dir: str) -> None:
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self._best = tf.Variable(-1.0, trainable=False, name="best_recall")
        checkpoint = tf.train.Checkpoint(
            network=trainer.network,
            encoder_optimizer=trainer.optimizer,
            new_layer_optimizer=trainer.new_layer_optimizer,
            step=self._step,
            best_recall=self._best,
        )
        self._last_manager = _manager(checkpoint, last_dir, max_to_keep=2)
        self._best_manager = _manager(checkpoint, best_dir, max_to_keep=1)

    def restore(self) -> int:
        """Goes back to the last checkpoint.

        Returns:
          Its step, or 0 where there is none.

        Raises:
          InputError: The checkpoint cannot be read.
        """
        path = self._last_manager.latest_checkpoint
        if path is None:
            if any(pathlib.Path(self._last_manager.directory).glob("*.index")):
                raise _unreadable_state(self._last_manager.directory)
            return 0
        restore(self._last_manager.checkpoint, path)
        return int(self._step)

    def save(self, step: int) -> str:
        """Writes the state after a step; returns where."""
        self._step.assign(step)
        return self._last_manager.save(checkpoint_number=step)

    def save_if_best(self, step: int, recall: float) -> bool:
        """Writes the state as the best one if its recall is no lower than any before.

        Among equals the later one is kept: few classes are soon all found, while the
        embedding still improves.
        """
        if recall < float(self._best):
            return False
        self._step.assign(step)
        self._best.assign(recall)
        self._best_manager.save(checkpoint_number=step)
        return True


def _manager(
    checkpoint: tf.train.Checkpoint, folder: str, max_to_keep: int
) -> tf.train.CheckpointManager:
    try:
        return tf.train.CheckpointManager(checkpoint, folder, max_to_keep=max_to_keep)
    except ValueError as error:
        raise _unreadable_state(folder) from error


def _unreadable_state(folder: str) -> InputError:
    """For a folder with checkpoints whose index does not name them."""
    return InputError(
        "The file that names the latest checkpoint must be readable. Received: "
        f"{os.path.join(folder, 'checkpoint')!r}, damaged. Remove the run folder and "
        "train again, or start from another with --init_from."
    )
