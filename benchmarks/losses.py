"""What does a step of each metric loss take, beside the contrastive loss'?

    python -m benchmarks.losses
    python -m benchmarks.losses --network=mobilenet

A training step of ABE-4^128 at 64 images: the demo's network, small Inception at 48
pixels, or MobileNet 0.75 at 128 pixels as the grocery study has it, batch normalisation
frozen. 40 classes train. Each loss lives in a process of its own, where it is built and
warmed up; then all take turns, one at a time: 2 GB each with MobileNet, for which
`--losses` takes some. The ratio is to the first one in neighbouring turns.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import app, flags

from abe_tf.config.loss import METRIC_LOSSES
from benchmarks.train_step import Variant

_NETWORK = flags.DEFINE_enum("network", "demo", ("demo", "mobilenet"), "which")
_LOSSES = flags.DEFINE_list("losses", list(METRIC_LOSSES), "of --metric_loss")
_CLASSES, _IMAGES, _TRAINED = 16, 4, 40


def step(network_name: str, name: str) -> dict[str, Callable[[], Any]]:
    """A training step."""
    import tensorflow as tf

    from abe_tf.config.loss import LossConfig
    from abe_tf.config.model import ModelConfig
    from abe_tf.config.training import TrainingConfig
    from abe_tf.losses import table
    from abe_tf.losses.metric import Sizes
    from abe_tf.models.build import build
    from abe_tf.models.ensemble import new_layer_variables
    from abe_tf.training import optimizers
    from abe_tf.training.trainer import EnsembleTrainer

    model, size = ModelConfig(), 48
    if network_name == "mobilenet":
        kind = {"encoder": "mobilenet", "mobilenet_alpha": 0.75}
        model, size = ModelConfig(**kind, freeze_batch_norm=True), 128
    loss = LossConfig(metric_loss=name)
    network = build(model, size)
    metric = table.create(loss, Sizes(4, 32, tuple(range(_TRAINED))))
    trainer = EnsembleTrainer(
        network, new_layer_variables(network), loss, metric=metric
    )
    own = bool(metric.trainable_variables)
    trainer.compile(optimizers.create(TrainingConfig(learning_rate=1e-5), for_loss=own))
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, [_CLASSES * _IMAGES, size, size, 3], np.uint8)
    labels = np.repeat(np.arange(_CLASSES), _IMAGES).astype(np.int32)
    batch = tf.constant(pixels), tf.constant(labels)
    run = tf.function(lambda: trainer.train_step(batch))
    return {"train": lambda: float(run()["loss/total"])}


def main(_: list[str]) -> None:
    """Prints medians, and ratios turn by turn."""
    names = _LOSSES.value
    variants = {name: Variant(step, _NETWORK.value, name) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(flags.FLAGS.turns):
        for name, variant in variants.items():
            seconds[name].append(variant.ask("train", flags.FLAGS.steps))
    for name, variant in variants.items():
        pairs = zip(seconds[name], seconds[names[0]], strict=True)
        ratios = [ours / first for ours, first in pairs]
        took = 1000 * statistics.median(seconds[name])
        print(
            f"{name:18}{took:8.0f} ms; to {names[0]} "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )
        variant.end()


if __name__ == "__main__":
    app.run(main)
