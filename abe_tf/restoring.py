"""Reads checkpoints, for training and for everything after it."""

from __future__ import annotations

import tensorflow as tf

from abe_tf.errors import InputError

# What TensorFlow raises for files that are torn, missing, or of other variables.
_FAILURES = (tf.errors.OpError, ValueError, IndexError, AssertionError)


def restore(checkpoint: tf.train.Checkpoint, path: str) -> None:
    """Fills every object that a checkpoint tracks.

    Args:
      checkpoint: What to fill; the file may hold more than that.
      path: Prefix of the checkpoint's files.

    Raises:
      InputError: The files are unreadable, or of another network.
    """
    try:
        status = checkpoint.restore(path)
        status.expect_partial().assert_existing_objects_matched()
    except _FAILURES as error:
        raise InputError(
            "A checkpoint must be readable and of the network in its flags.cfg. "
            f"Received: {path}: {str(error).partition(chr(10))[0]}. "
            "Remove it, or the run folder, and train again."
        ) from error
