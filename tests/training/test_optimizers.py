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
        (
            TrainingConfig(schedule="constant", warmup_steps=8, steps=9),
            [0.025, 0.125, 0.2],
        ),
        (TrainingConfig(schedule="cosine", warmup_steps=5, steps=8), [0.04, 0.1, 0.0]),
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


def first_step(of_loss: bool = False, **flags) -> float:
    """How far the first step takes a weight with a gradient of 0.5."""
    config = TrainingConfig(schedule="constant", learning_rate=0.01, **flags)
    made = optimizers.create(config, for_loss=of_loss)
    weight = tf.Variable([1.0])
    optimizer = made.loss if of_loss else made.encoder
    optimizer.apply_gradients([(tf.constant([0.5]), weight)])
    return 1 - float(weight[0])


def test_rmsprop_divides_by_the_root_of_the_mean_square():
    # Of the first gradient, a tenth of its square.
    expected = 0.01 * 0.5 / np.sqrt(0.1 * 0.25)
    assert first_step(optimizer="rmsprop") == pytest.approx(expected, rel=1e-4)


def test_an_epsilon_of_one_makes_steps_follow_the_gradient():
    assert first_step() == pytest.approx(0.01, rel=1e-4)
    expected = 0.01 * 0.5 / (0.5 + 1)
    taken = first_step(optimizer_epsilon=1.0)
    # Keras adds it before it corrects the second moment's start, by sqrt(1 - 0.999).
    exact = 0.01 * 0.5 / (0.5 + 1 / np.sqrt(0.001))
    assert taken == pytest.approx(exact, rel=1e-3)
    assert taken < expected
    of_loss = first_step(of_loss=True, optimizer_epsilon=1.0, loss_learning_rate=0.01)
    assert of_loss == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "adamw"])
def test_new_layers_learn_a_multiple_as_fast(optimizer):
    trainer, encoder, linear = two_layer_trainer(
        optimizer=optimizer,
        learning_rate=0.01,
        new_layer_multiplier=10.0,
        weight_decay=1e-6 if optimizer == "adamw" else 0.0,
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


def test_gradients_are_clipped_together():
    flags = {"optimizer": "sgd", "momentum": 0.0, "learning_rate": 1.0}
    changes = []
    for clip_norm in (0.0, 0.5):
        tf.keras.utils.set_random_seed(0)
        trainer, *_ = two_layer_trainer(clip_norm=clip_norm, **flags)
        before = [w.numpy() for w in trainer.network.trainable_variables]
        with tf.GradientTape() as tape:
            loss = sum(map(tf.reduce_sum, trainer.network.trainable_variables))
        norms = trainer._apply(tape, loss)
        after = [w.numpy() for w in trainer.network.trainable_variables]
        pairs = zip(before, after, strict=True)
        changes.append(np.concatenate([(b - a).ravel() for b, a in pairs]))
    # Twelve weights with a gradient of 1.
    np.testing.assert_allclose(norms["gradient_norm/all"], np.sqrt(12), rtol=1e-5)
    np.testing.assert_allclose(changes[0], 1, rtol=1e-5)
    np.testing.assert_allclose(changes[1], 0.5 / np.sqrt(12), rtol=1e-5)


def test_averages_follow_the_weights_and_stand_in_for_them():
    trainer, encoder, _ = two_layer_trainer(
        optimizer="sgd", momentum=0.0, learning_rate=1.0, ema_momentum=0.75
    )
    values = [encoder.bias.numpy()]
    for _ in range(2):
        with tf.GradientTape() as tape:
            loss = sum(map(tf.reduce_sum, trainer.network.trainable_variables))
        trainer._apply(tape, loss)
        values.append(encoder.bias.numpy())
    average = values[0]
    for value in values[1:]:
        average = 0.75 * average + 0.25 * value
    with trainer.averaged():
        np.testing.assert_allclose(encoder.bias, average, rtol=1e-6)
    np.testing.assert_array_equal(encoder.bias, values[-1])


def test_a_loss_scale_meets_gradients_that_overflow():
    """Both optimizers pass over the step and halve the scale, and only then."""
    pixels = tf.keras.Input([2])
    encoder, linear = (tf.keras.layers.Dense(2, name=n) for n in ("encoder", "linear"))
    network = tf.keras.Model(pixels, linear(encoder(pixels)))
    trainer = EnsembleTrainer(network, linear.trainable_variables, LossConfig())
    config = TrainingConfig(
        optimizer="sgd", momentum=0.0, learning_rate=1.0, schedule="constant"
    )
    pair = optimizers.create(config, "float16")
    trainer.compile(pair)
    scale = float(pair.loss_scale())
    for times, fails in ((1.0, False), (np.inf, True), (1.0, False)):
        before = network.get_weights()
        with tf.GradientTape() as tape:
            # Only one of the groups overflows.
            loss = tf.reduce_sum(encoder.kernel) * times + tf.reduce_sum(linear.kernel)
            loss += tf.reduce_sum(encoder.bias) + tf.reduce_sum(linear.bias)
            loss = pair.scaled(loss)
        trainer._apply(tape, loss)
        scale = scale / 2 if fails else scale
        for optimizer in pair.by_group().values():
            assert float(optimizer.loss_scale) == scale
        changes = [b - a for b, a in zip(before, network.get_weights(), strict=True)]
        for change in changes:
            np.testing.assert_allclose(change, 0 if fails else 1, rtol=1e-5)
