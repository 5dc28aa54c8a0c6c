"""What does a step of each metric loss take, beside the contrastive loss'?

    python -m benchmarks.losses
    python -m benchmarks.losses --network=mobilenet
    python -m benchmarks.losses --ensembles=none,heads,abe,hdc,bier,a_bier

A training step of ABE-4^128 at 64 images, or of each ensemble with its own loss as
`abe_tf.compare --rows=ensembles` has it: the demo's network, small Inception at 48
pixels, or MobileNet 0.75 at 128 pixels as the grocery study has it, batch normalisation
frozen. 40 classes train. Each lives in a process of its own, where it is built and
warmed up; then all take turns, one at a time: 2 GB each with MobileNet, for which
`--losses` takes some. The ratio is to the first one in neighbouring turns. Of
clustering it tells too what finding the medoids takes, of all learners of a batch.
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
_ENSEMBLES = flags.DEFINE_list("ensembles", [], "of abe_tf.compare, instead of losses")
flags.declare_key_flag("steps")
flags.declare_key_flag("turns")
_CLASSES, _IMAGES, _TRAINED = 16, 4, 40


def step(network_name: str, changes: dict[str, str]) -> dict[str, Callable[[], Any]]:
    """A training step."""
    import tensorflow as tf

    from abe_tf.config.model import ModelConfig
    from abe_tf.config.training import TrainingConfig
    from abe_tf.losses import facility
    from abe_tf.runs.flags import RunFlags
    from abe_tf.session.building import build_trainer
    from abe_tf.training import strategies

    model, size = ModelConfig(), 48
    if network_name == "mobilenet":
        kind = {"encoder": "mobilenet", "mobilenet_alpha": 0.75}
        model, size = ModelConfig(**kind, freeze_batch_norm=True), 128
    run = RunFlags(model, training=TrainingConfig(learning_rate=1e-5, jit="off"))
    run = run.changed({"image_size": size, **changes})
    default = strategies.create("default")
    trainer = build_trainer(run, range(_TRAINED), default, None, False)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, [_CLASSES * _IMAGES, size, size, 3], np.uint8)
    labels = np.repeat(np.arange(_CLASSES), _IMAGES).astype(np.int32)
    batch = tf.constant(pixels), tf.constant(labels)
    stepped = tf.function(lambda: trainer.train_step(batch))
    by_learner = tf.transpose(trainer.network(batch[0]), [1, 0, 2]).numpy()
    distances = np.linalg.norm(by_learner[:, :, None] - by_learner[:, None], axis=-1)

    def find() -> None:
        for one in distances:
            facility.locate(one, labels, 1.0)

    return {"train": lambda: float(stepped()["loss/total"]), "find": find}


def main(_: list[str]) -> None:
    """Prints medians, and ratios turn by turn."""
    from abe_tf.config.model import ModelConfig
    from abe_tf.sweeps import rows

    changes = {name: {"metric_loss": name} for name in _LOSSES.value}
    if _ENSEMBLES.value:
        whole = ModelConfig()
        changes = {name: rows.network(name, whole) for name in _ENSEMBLES.value}
    names = list(changes)
    variants = {
        name: Variant(step, _NETWORK.value, change) for name, change in changes.items()
    }
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
        if name == "clustering":
            found = 1000 * variant.ask("find", flags.FLAGS.steps)
            print(f"{'its medoids':18}{found:8.1f} ms, {found / took:.1%} of its step")
        variant.end()


if __name__ == "__main__":
    app.run(main)
