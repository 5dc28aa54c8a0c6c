"""What a checkpoint of a run holds: told here, for whoever writes or reads one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from abe_tf.storage.restoring import restore, restore_newest


def contents(
    network: tf.keras.Model, averages: Sequence[tf.Variable] | None, **state: Any
) -> tf.train.Checkpoint:
    """The objects of a checkpoint.

    Args:
      network: The network.
      averages: Moving averages of its trainable variables, in their order; `None`
        where the run has none.
      **state: What only training needs, by name.
    """
    kept = {} if averages is None else {"averages": list(averages)}
    return tf.train.Checkpoint(network=network, **kept, **state)


def restore_network(
    network: tf.keras.Model,
    path: str,
    has_averages: bool,
    is_one: bool,
    say: Callable[[str], None],
) -> str:
    """Fills a network: with the averages of its weights, where the run has them.

    Args:
      network: What to fill.
      path: A folder of checkpoints, of which the newest readable one is taken, or one
        checkpoint.
      has_averages: Whether the checkpoints hold averages.
      is_one: Whether the path is one checkpoint.
      say: Tells which ones could not be read.

    Returns:
      Path of the checkpoint.

    Raises:
      InputError: None is readable, or they are of another network.
    """
    weights = network.trainable_variables
    averages = [tf.Variable(tf.zeros_like(weight)) for weight in weights]
    objects = contents(network, averages if has_averages else None)
    if is_one:
        restore(objects, path)
        path = os.path.normpath(path)
    else:
        path = restore_newest(objects, path, say)
    if has_averages:
        for weight, average in zip(weights, averages, strict=True):
            weight.assign(average)
    return path
