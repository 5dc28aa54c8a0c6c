"""The losses of several domains: oracles, NumPy forms, gradients."""

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.errors import InputError
from abe_tf.losses import table
from abe_tf.losses.classifier import cross_entropy
from abe_tf.losses.domains import scatter_loss, shuffle_loss
from abe_tf.losses.metric import LossBatch, Sizes
from abe_tf.losses.triplet_hard import triplet_hard_loss

ANGLES = np.radians([0, 20, 60, 90, 180, 200, 260, 300])
FIXTURE = np.stack([np.cos(ANGLES), np.sin(ANGLES)], -1)[:, np.newaxis]
IDS = np.array([0, 0, 1, 1, 2, 2, 3, 3])
DOMAINS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
LOSSES = {
    "scatter": lambda x, ids, domains: scatter_loss(x, domains),
    "triplet": lambda x, ids, domains: triplet_hard_loss(x, ids, 0.3),
    "shuffle": shuffle_loss,
}


def numpy_form(name, x, ids, domains):
    """Of one learner, image after image."""
    distances = np.linalg.norm(x[:, np.newaxis] - x, axis=-1)
    same, together = (v[:, np.newaxis] == v for v in (ids, domains))
    others = ~np.eye(len(x), dtype=bool)
    costs = []
    if name == "scatter":
        unit = x / np.linalg.norm(x, axis=-1, keepdims=True)
        for domain in np.unique(domains):
            mean = unit[domains == domain].mean(0)
            cosines = unit[domains == domain] @ mean / np.linalg.norm(mean)
            costs.append(cosines.mean())
    for i in range(len(x) if name != "scatter" else 0):
        if name == "triplet":
            far, near = same[i] & others[i], ~same[i]
        else:
            far, near = ~together[i], together[i] & ~same[i]
        if far.any() and near.any():
            apart = distances[i][far].max() - distances[i][near].min()
            cost = max(0, apart + 0.3) if name == "triplet" else np.log1p(np.exp(apart))
            costs.append(cost)
    return np.mean(costs) if costs else 0.0


@pytest.mark.parametrize(
    ("name", "value"),
    [("scatter", 0.751616107), ("triplet", 0.016699725), ("shuffle", 1.280717511)],
)
def test_values_are_those_of_an_oracle(name, value):
    found = LOSSES[name](tf.constant(FIXTURE), IDS, DOMAINS)
    np.testing.assert_allclose(found, [value], atol=5e-10)


def drawn(seed, count=15, learners=2):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=[count, learners, 3])
    return x, rng.integers(0, 4, count), rng.integers(0, 3, count)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", LOSSES)
def test_equals_its_definition(name, seed):
    x, ids, domains = drawn(seed)
    found = LOSSES[name](tf.constant(x), ids, domains)
    expected = [numpy_form(name, x[:, m], ids, domains) for m in range(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences(name):
    x, ids, domains = drawn(5, count=9, learners=1)
    variable = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        value = LOSSES[name](variable, ids, domains)[0]
    gradient = tape.gradient(value, variable).numpy()
    step = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        step[index] = 1e-6
        up, down = (
            numpy_form(name, (x + sign * step)[:, 0], ids, domains) for sign in (1, -1)
        )
        assert abs(gradient[index] - (up - down) / 2e-6) < 1e-6
        step[index] = 0


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("kind", ["equal", "opposite", "zero", "one_class"])
def test_gradients_stay_finite(name, kind):
    x = np.ones([6, 1, 2], np.float32)
    ids, domains = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 0, 1, 1, 1])
    if kind == "opposite":
        x[::2] *= -1
    if kind == "zero":
        x *= 0
    if kind == "one_class":
        ids, domains = ids * 0, domains * 0
    variable = tf.Variable(x)
    with tf.GradientTape() as tape:
        value = LOSSES[name](variable, ids, domains)
    assert np.isfinite(value).all()
    assert np.isfinite(tape.gradient(value, variable)).all()
    if kind == "one_class" and name != "scatter":
        assert value.numpy().tolist() == [0]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_equals_its_definition(smoothing):
    rng = np.random.default_rng(0)
    logits, places = rng.normal(size=[2, 5, 4]), rng.integers(0, 4, 5)
    exponents = np.exp(logits)
    probabilities = exponents / exponents.sum(-1, keepdims=True)
    target = np.full([5, 4], smoothing / 3)
    target[np.arange(5), places] = 1 - smoothing
    expected = -(target * np.log(probabilities)).sum(-1).mean(-1)
    found = cross_entropy(tf.constant(logits, tf.float32), places, smoothing)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_classifier_stands_beside_any_loss():
    config = LossConfig(metric_loss="margin", classifier_weight=2.0)
    sizes = Sizes(2, 3, classes=(1, 4, 6))
    tf.keras.utils.set_random_seed(0)
    both = table.create(config, sizes)
    assert config.has_variables and len(both.trainable_variables) == 2
    both.weights.assign(np.random.default_rng(0).normal(size=[2, 3, 3]))
    x = tf.constant(drawn(0, 4)[0], tf.float32)
    labels = tf.constant([1, 1, 4, 6])
    batch = LossBatch(x, labels, tf.zeros([2], tf.int64))
    alone, _ = both.metric(batch)
    together, scalars = both(batch)
    logits = np.einsum("bmd,mdc->mbc", x, both.weights)
    costs = cross_entropy(tf.constant(logits), tf.constant([0, 0, 1, 2]), 0.1)
    np.testing.assert_allclose(together - alone, 2 * costs, rtol=1e-4)
    right = (logits.argmax(-1) == [0, 0, 1, 2]).mean()
    np.testing.assert_allclose(scalars["classifier/accuracy"], right)


def test_settings_of_a_classifier_that_is_not_there_are_refused():
    with pytest.raises(InputError, match="goes with --classifier_weight"):
        LossConfig(label_smoothing=0.2)
