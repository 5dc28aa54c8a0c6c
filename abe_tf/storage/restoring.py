"""Reads checkpoints, for training and for everything after it."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from abe_tf.errors import InputError
from abe_tf.storage import checkpoints
from abe_tf.storage.files import check_place

# What TensorFlow raises for files that are torn or missing, and for whole ones that
# lack a variable or have it in another shape. Memory that runs out is none of them.
_TORN = (
    *(tf.errors.InvalidArgumentError, tf.errors.NotFoundError),
    *(tf.errors.DataLossError, tf.errors.OutOfRangeError),
    *(tf.errors.PermissionDeniedError, tf.errors.FailedPreconditionError),
    *(tf.errors.InternalError, tf.errors.UnknownError, IndexError),
)
_OTHER = (AssertionError, ValueError)


class TornCheckpointError(InputError):
    """A checkpoint's files are damaged or not all there."""


def restore(checkpoint: tf.train.Checkpoint, path: str) -> None:
    """Fills every object that a checkpoint tracks.

    Args:
      checkpoint: What to fill; the files may hold more than that.
      path: The checkpoint's folder.

    Raises:
      TornCheckpointError: The files are unreadable.
      InputError: They are of another network.
    """
    check_place("workdir", path)
    try:
        status = checkpoint.read(checkpoints.prefix(path))
        status.expect_partial().assert_existing_objects_matched()
    except _TORN as error:
        raise TornCheckpointError(
            f"A checkpoint must be readable. Received: {path}: {_in_short(error)}. "
            "Bring the file back from a copy, or use another checkpoint of the run."
        ) from error
    except _OTHER as error:
        if _of_another_keras(path):
            raise InputError(
                "A checkpoint must be of Keras 2, abe_tf's on every TensorFlow. "
                f"Received: {path}, whose variables have another Keras' names. Read it "
                "with the program that wrote it."
            ) from error
        raise InputError(
            "A checkpoint must be of the network in its run's flags.cfg. "
            f"Received: {path}: {_in_short(error)}. Bring back the flags.cfg that it "
            "was trained with, or use the run that wrote it."
        ) from error


def _of_another_keras(path: str) -> bool:
    """Whether a network is in a checkpoint by other names than Keras 2's."""
    reader = tf.train.load_checkpoint(checkpoints.prefix(path))
    names = reader.get_variable_to_shape_map()
    return not any(name.startswith("network/layer_with_weights-") for name in names)


def _in_short(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")


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
      InputError: None can be read, or one is of another network.
    """
    steps = checkpoints.steps(folder)
    for step in reversed(steps):
        path = checkpoints.path(folder, step)
        try:
            restore(checkpoint, path)
        except TornCheckpointError as error:
            if step == steps[0]:
                raise
            say(f"TORN CHECKPOINT, taking the one before it. {error}")
        else:
            return path
    raise InputError(f"There must be a checkpoint. Received: {folder!r}, without one.")
