"""What does batch-instance normalisation take, beside both its parts computed whole?

    python -m benchmarks.normalization

Features of a batch of 32 images as they come in MobileNet at 128 pixels. Beside Keras'
batch normalisation, and beside the formula as it is written, Keras' batch normalisation
and an instance normalisation that are both computed whole and mixed: forward in
inference, and forward and gradient in training, in turns, on all cores. Ratios are to
the formula as written.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import app, flags

from abe_tf.models.normalization import BatchInstanceNormalization

_TURNS = flags.DEFINE_integer("turns", 15, "of each variant")
_SHAPES = ((32, 64, 64, 48), (32, 16, 16, 192), (32, 8, 8, 384))
_EPSILON = 1e-3


class AsWritten(tf.keras.layers.Layer):
    """`rho * BN(x) + (1 - rho) * IN(x)`, each part whole."""

    def build(self, shape: tf.TensorShape) -> None:
        """Makes what both parts have."""
        self.by_batch = tf.keras.layers.BatchNormalization(epsilon=_EPSILON)
        self.by_batch.build(shape)
        one = tf.ones([shape[-1]])
        self.rho, self.gamma = tf.Variable(one / 2), tf.Variable(one)
        self.beta = tf.Variable(0 * one)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Both parts, mixed."""
        mean, variance = tf.nn.moments(x, [1, 2], keepdims=True)
        by_image = tf.nn.batch_normalization(
            x, mean, variance, self.beta, self.gamma, _EPSILON
        )
        by_batch = self.by_batch(x, training=training)
        return self.rho * by_batch + (1 - self.rho) * by_image


def _calls(layer: tf.keras.layers.Layer, x: tf.Tensor) -> dict[str, Callable]:
    layer(x)

    @tf.function
    def train() -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.square(layer(x, training=True)))
        gradients = tape.gradient(loss, [x, *layer.trainable_variables])
        return tf.add_n([tf.reduce_sum(gradient) for gradient in gradients])

    infer = tf.function(lambda: tf.reduce_sum(layer(x, training=False)))
    return {"inference": infer, "training": train}


def main(_: list[str]) -> None:
    """Prints medians, and ratios turn by turn."""
    for shape in _SHAPES:
        x = tf.constant(np.random.default_rng(0).normal(size=shape), tf.float32)
        ours = BatchInstanceNormalization(0.99, _EPSILON, False)
        ours(x)
        ours.rho.assign(tf.ones_like(ours.rho) / 2)
        layers = {
            "as written": AsWritten(),
            "ours": ours,
            "batch alone": tf.keras.layers.BatchNormalization(epsilon=_EPSILON),
        }
        calls = {name: _calls(layer, x) for name, layer in layers.items()}
        for phase in ("inference", "training"):
            seconds: dict[str, list[float]] = {name: [] for name in calls}
            for turn in range(_TURNS.value + 2):
                for name, of_layer in calls.items():
                    begun = time.perf_counter()
                    float(of_layer[phase]())
                    if turn >= 2:
                        seconds[name].append(time.perf_counter() - begun)
            for name, took in seconds.items():
                pairs = zip(took, seconds["as written"], strict=True)
                ratios = sorted(one / other for one, other in pairs)
                middle = statistics.median(ratios)
                print(
                    f"{'x'.join(map(str, shape)):16}{phase:10}{name:13}"
                    f"{1000 * statistics.median(took):8.2f} ms; ratio {middle:.2f} "
                    f"({ratios[0]:.2f} to {ratios[-1]:.2f})",
                    flush=True,
                )


if __name__ == "__main__":
    app.run(main)
