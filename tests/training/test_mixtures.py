"""Mixtures of normalisations train by an optimizer of their own, within bounds."""

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.storage.contents import restore_network
from tests.helpers.mixtures import (
    goes_on_to_the_bit,
    opened,
    pixels,
    rhos_of,
    trainer_of,
    weights_of,
)


def train(trainer, first, end):
    labels = np.array([0, 1, 2, 3] * 2, np.int32)
    for number in range(first, end):
        data = tf.data.Dataset.from_tensors((pixels(number), labels))
        logs = trainer.fit(data.unbatch().batch(8), verbose=0).history
    return logs


def test_rho_moves_and_stays_within_its_bounds():
    # A rate at which nearly every channel meets a bound.
    trainer = trainer_of(rho_learning_rate=1e4)
    logs = train(trainer, 0, 1)
    assert logs["gradient_norm/rho"][0] > 0
    found = rhos_of(trainer)
    assert found.min() == 0 and found.max() == 1
    assert trainer.learning_rates()["rho"] == pytest.approx(1e4)


def test_rho_has_ten_times_the_rate_and_neither_schedule_nor_decay():
    trainer = trainer_of(weight_decay=0.1, rho_learning_rate=0.0)
    train(trainer, 0, 2)
    np.testing.assert_array_equal(rhos_of(trainer), 1)
    trainer = trainer_of()
    for _ in range(2):
        assert trainer.learning_rates()["rho"] == pytest.approx(0.5)
        train(trainer, 0, 1)


def test_two_replicas_give_the_step_of_one():
    """Statistics, averages and rho too."""
    found = []
    for strategy in ("default", "mirrored"):
        trainer = trainer_of(strategy, momentum=0.0)
        before = weights_of(trainer)
        train(trainer, 0, 1)
        moved = zip(weights_of(trainer), before, strict=True)
        found.append(np.concatenate([(a - b).ravel() for a, b in moved]))
    alone, shared = found
    assert np.linalg.norm(alone - shared) < 1e-4 * np.linalg.norm(alone)


@pytest.mark.parametrize(
    "ema_momentum", [pytest.param(0.0, marks=pytest.mark.slow), 0.9]
)
def test_a_run_goes_on_to_the_bit_and_loads(ema_momentum, tmp_path):
    settings = {"optimizer": "adam", "ema_momentum": ema_momentum}
    whole = goes_on_to_the_bit(train, tmp_path, **settings)
    with whole.averaged():
        assert rhos_of(whole).min() >= 0 and rhos_of(whole).max() <= 1
    opened(whole, tmp_path).save()
    network = trainer_of().network
    averaged = ema_momentum > 0
    restore_network(network, str(tmp_path / "last"), averaged, False, print)
    with whole.averaged():
        expected = whole.network(pixels(0))
    np.testing.assert_allclose(network(pixels(0)), expected, atol=1e-6)


def test_loss_scaling_leaves_the_step_as_it_is():
    found = []
    for precision in ("float32", "float16"):
        trainer = trainer_of(precision=precision)
        train(trainer, 0, 1)
        found.append(rhos_of(trainer))
    assert np.ptp(found[0]) > 0
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)
