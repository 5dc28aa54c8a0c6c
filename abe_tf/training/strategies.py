"""Where training runs: one device, or replicas that share each global batch."""

from __future__ import annotations

import tensorflow as tf

from abe_tf.errors import InputError


def create(name: str) -> tf.distribute.Strategy:
    """The strategy that `--strategy` names.

    Args:
      name: "default" (one device), "mirrored" (every GPU of this machine, or every
        logical CPU device where there is none) or "auto" (mirrored where there is more
        than one GPU).
    """
    gpus = tf.config.list_logical_devices("GPU")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        devices = gpus or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def check_batch(strategy: tf.distribute.Strategy, batch_size: int) -> None:
    """Refuses a global batch that the replicas cannot share evenly.

    Raises:
      InputError: The batch is no multiple of the number of replicas.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise InputError(
            "--classes_per_batch times --images_per_class must be a multiple of the "
            f"number of replicas. Received: {batch_size} and {replicas}."
        )
