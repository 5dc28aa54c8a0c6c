"""What `--dry_run` tells of a network that has run one step."""

from __future__ import annotations

import resource
from collections.abc import Callable

import tensorflow as tf


def report(
    network: tf.keras.Model,
    batch: tuple[int, ...],
    embedded: tuple[int, ...],
    say: Callable[[str], None],
) -> None:
    """Tells shapes, parameters and peak memory.

    Args:
      network: The network that gives learner embeddings.
      batch: Shape of a global training batch.
      embedded: Shape of the learner embeddings of an evaluation batch.
      say: Where to.
    """
    say(
        f"training batch: {list(batch)} uint8; an evaluation batch gives "
        f"{list(embedded)} float32"
    )
    for layer in network.layers:
        if layer.count_params():
            shape = list(layer.output_shape)
            say(f"{layer.name}: {shape}, {layer.count_params():,} parameters")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(f"peak memory: {peak:,.0f} MB")
    for gpu in tf.config.list_logical_devices("GPU"):
        used = tf.config.experimental.get_memory_info(gpu.name.split("device:")[1])
        say(f"{gpu.name}: {used['peak'] / 2**20:,.0f} MB")
    say("Nothing was written.")
