import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.training import optimizers
from abe_tf.training.trainer import EnsembleTrainer


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (TrainingConfig(schedule="constant", steps=9), [0.2, 0.2, 0.2]),
        (TrainingConfig(schedule="cosine", steps=8), [0.2, 0.1, 0.0]),
        (TrainingConfig(schedule="step", steps=9), [0.2, 0.02, 0.002]),
        (
            TrainingConfig(schedule="step", decay_steps=2, decay_factor=0.5, steps=9),
            [0.2, 0.05, 0.0125],
        ),
    ],
)
def test_schedules(config, expected):
    schedule = optimizers.learning_rate(config, 0.2)
    rates = [
        float(schedule(step) if callable(schedule) else schedule) for step in (0, 4, 8)
    ]
    np.testing.assert_allclose(rates, expected, atol=1e-7)


def two_layer_trainer(**flags):
    """A network of one encoder weight and one new weight, with the gradient of both."""
    pixels = tf.keras.Input([2])
    encoder = tf.keras.layers.Dense(2, name="encoder", bias_initializer="ones")
    linear = tf.keras.layers.Dense(2, name="linear")
    network = tf.keras.Model(pixels, linear(encoder(pixels)))
    trainer = EnsembleTrainer(network, linear.trainable_variables, LossConfig())
    trainer.compile(optimizers.create(TrainingConfig(schedule="constant", **flags)))
    return trainer, encoder, linear


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_new_layers_learn_a_multiple_as_fast(optimizer):
    trainer, encoder, linear = two_layer_trainer(
        optimizer=optimizer, learning_rate=0.01, new_layer_multiplier=10.0
    )
    before = [layer.kernel.numpy() for layer in (encoder, linear)]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(encoder.kernel) + tf.reduce_sum(linear.kernel)
        loss += tf.reduce_sum(encoder.bias) + tf.reduce_sum(linear.bias)
    trainer._apply(tape, loss)
    steps = [
        float(np.mean(old - layer.kernel))
        for old, layer in zip(before, (encoder, linear), strict=True)
    ]
    np.testing.assert_allclose(steps, [0.01, 0.1], rtol=1e-3)


def test_weight_decay_spares_biases():
    trainer, encoder, _ = two_layer_trainer(
        optimizer="sgd", learning_rate=0.1, weight_decay=0.5
    )
    before = encoder.kernel.numpy()
    with tf.GradientTape() as tape:
        loss = 0.0 * sum(tf.reduce_sum(v) for v in trainer.network.trainable_variables)
    trainer._apply(tape, loss)
    np.testing.assert_allclose(encoder.kernel, before * (1 - 0.1 * 0.5), rtol=1e-5)
    np.testing.assert_array_equal(encoder.bias, [1, 1])
