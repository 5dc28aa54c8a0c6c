"""Reads checkpoints, for training and for everything after it."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from abe_tf import checkpoint_folder
from abe_tf.errors import InputError

# What TensorFlow raises for files that are torn, missing, or of other variables.
_FAILURES = (tf.errors.OpError, ValueError, IndexError, AssertionError)


def restore(checkpoint: tf.train.Checkpoint, path: str) -> None:
    """Fills every object that a checkpoint tracks.

    Args:
      checkpoint: What to fill; the files may hold more than that.
      path: The checkpoint's folder.

    Raises:
      InputError: The files are unreadable, or of another network.
    """
    try:
        status = checkpoint.read(checkpoint_folder.prefix(path))
        status.expect_partial().assert_existing_objects_matched()
    except _FAILURES as error:
        raise InputError(
            "A checkpoint must be readable and of the network in its flags.cfg. "
            f"Received: {path}: {str(error).partition(chr(10))[0]}. "
            "Remove it, or the run folder, and train again."
        ) from error


def restore_newest(
    checkpoint: tf.train.Checkpoint, folder: str, say: Callable[[str], None]
) -> str:
    """Fills every object from the newest checkpoint that can be read.

    Args:
      checkpoint: What to fill.
      folder: With at least one checkpoint.
      say: Tells which ones could not be read.

    Returns:
      Path of the one that was read.

    Raises:
      InputError: None can be read.
    """
    steps = checkpoint_folder.steps(folder)
    for step in reversed(steps):
        path = checkpoint_folder.path(folder, step)
        try:
            restore(checkpoint, path)
        except InputError as error:
            if step == steps[0]:
                raise
            say(f"TORN CHECKPOINT, taking the one before it. {error}")
        else:
            return path
    raise InputError(f"There must be a checkpoint. Received: {folder!r}, without one.")
