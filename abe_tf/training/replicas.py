"""What the replicas of a step tell each other."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def gathered(local: tf.Tensor, replica: Any) -> tf.Tensor:
    """What all replicas see, as float32.

    Args:
      local: `[batch, ...]` of this replica.
      replica: The replica's context.
    """
    # What is before the last layer may be of lower precision.
    local = tf.cast(local, tf.float32)
    # Gathering forgets all static sizes.
    everywhere = replica.all_gather(local, axis=0)
    return tf.ensure_shape(everywhere, [None, *local.shape[1:]])


def summed(gradients: list[tf.Tensor], replica: Any) -> list[tf.Tensor]:
    """Gradients of the loss that all replicas have a share of.

    Args:
      gradients: This replica's.
      replica: The replica's context.
    """
    if replica.num_replicas_in_sync == 1:
        return gradients
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
