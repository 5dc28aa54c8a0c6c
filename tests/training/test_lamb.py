"""LAMB against NumPy, and ours against TensorFlow Addons': runs go on with either."""

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.losses import addons
from abe_tf.training import keras_internals, lamb

needs_addons = pytest.mark.skipif(
    addons.tensorflow_addons() is None, reason="TensorFlow Addons does not import"
)
START = {"kernel": [[3.0, 4.0], [0.5, -1.0]], "layer/bias": [0.2, -0.1], "zeros": [0.0]}


def ours(rate, decay):
    return lamb.Lamb(rate, decay, ["bias"])


def variables():
    return [tf.Variable(value, name=name) for name, value in START.items()]


def gradients(step):
    rng = np.random.default_rng(step)
    return [rng.normal(size=np.shape(value)).astype("f") for value in START.values()]


def trained(optimizer, weights, steps):
    for step in steps:
        pairs = zip(map(tf.constant, gradients(step)), weights, strict=True)
        optimizer.apply_gradients(pairs)
    return [weight.numpy() for weight in weights]


def in_numpy(rate, decay, steps):
    weights = [np.array(value) for value in START.values()]
    moments = [[np.zeros_like(w), np.zeros_like(w)] for w in weights]
    for step in range(1, steps + 1):
        for number, (name, g) in enumerate(
            zip(START, gradients(step - 1), strict=True)
        ):
            w, (m, v) = weights[number], moments[number]
            m[...] = 0.9 * m + 0.1 * g
            v[...] = 0.999 * v + 0.001 * g**2
            u = m / (1 - 0.9**step) / (np.sqrt(v / (1 - 0.999**step)) + 1e-6)
            ratio = 1.0
            if "bias" not in name:
                u = u + decay * w
                if np.linalg.norm(w) > 0:
                    ratio = np.linalg.norm(w) / np.linalg.norm(u)
            w -= rate * ratio * u
    return weights


@pytest.mark.parametrize("make", [ours, lambda *a: lamb.create(*a, ["bias"])])
def test_steps_are_those_of_the_paper(make):
    found = trained(make(0.1, 0.02), variables(), range(5))
    for one, expected in zip(found, in_numpy(0.1, 0.02, 5), strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-4, atol=1e-6)


def test_a_schedule_sets_the_rate():
    schedule = tf.keras.optimizers.schedules.PiecewiseConstantDecay([0], [0.1, 0.0])
    once = trained(ours(0.1, 0.02), variables(), range(1))
    thrice = trained(ours(schedule, 0.02), variables(), range(3))
    for one, other in zip(once, thrice, strict=True):
        np.testing.assert_allclose(one, other)


@needs_addons
@pytest.mark.parametrize("rate", [0.1, "cosine"])
def test_a_run_of_tensorflow_addons_goes_on_with_ours_and_back(rate, tmp_path):
    def make_rate():
        if rate == "cosine":
            return tf.keras.optimizers.schedules.CosineDecay(0.1, 8)
        return rate

    def theirs(rate, decay):
        return addons.tensorflow_addons().optimizers.LAMB(
            rate, weight_decay=decay, exclude_from_weight_decay=["bias"]
        )

    whole = trained(theirs(make_rate(), 0.02), variables(), range(6))
    for number, (first, second) in enumerate([(theirs, ours), (ours, theirs)]):
        optimizer, weights = first(make_rate(), 0.02), variables()
        trained(optimizer, weights, range(3))
        path = str(tmp_path / f"{number}/weights")
        tf.train.Checkpoint(optimizer=optimizer, weights=weights).write(path)
        optimizer, weights = second(make_rate(), 0.02), variables()
        keras_internals.build_legacy(optimizer, weights)
        status = tf.train.Checkpoint(optimizer=optimizer, weights=weights).read(path)
        status.assert_consumed().assert_existing_objects_matched()
        for one, other in zip(
            trained(optimizer, weights, range(3, 6)), whole, strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
