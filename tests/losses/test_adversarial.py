"""The oracles are float64 values computed apart, the NumPy form is written here."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses import table
from abe_tf.losses.adversarial import (
    Independence,
    Regressor,
    activation,
    reversed_gradient,
)
from abe_tf.losses.bier import Boosted
from abe_tf.losses.metric import LinearLayers, LossBatch, Sizes

DIMS = (3, 4, 6)


def config(form="adversarial", **flags):
    flags = {"adversarial_weight": 0.5, "adversarial_norm_weight": 2.0, **flags}
    return LossConfig(metric_loss="bier", adversarial_form=form, **flags)


def layers(seed, channels=5, batch=7):
    rng = np.random.default_rng(seed)
    features = tf.constant(rng.normal(size=[batch, channels]), tf.float32)
    kernels = tuple(
        tf.Variable(rng.normal(size=[channels, dim]).astype("f")) for dim in DIMS
    )
    return LinearLayers(features, kernels)


def test_the_activation_loss_is_the_printed_value():
    one = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    other = tf.constant([[1.0, 0.0, 1.0], [0.0, 2.0, 0.0]])
    assert float(activation(one, other)) == pytest.approx(9.166666667, abs=1e-6)
    products = [
        (one[n, k] * other[n, m]) ** 2
        for n, k, m in itertools.product(range(2), range(2), range(3))
    ]
    assert float(np.mean(products)) == pytest.approx(float(activation(one, other)))


def test_a_reversed_gradient_is_the_printed_one():
    rng = np.random.default_rng(0)
    f, c = (tf.constant(rng.normal(size=[4, 3])) for _ in range(2))
    with tf.GradientTape() as tape:
        tape.watch(f)
        passed = reversed_gradient(f)
        loss = -tf.reduce_mean(tf.square(passed * c))
    np.testing.assert_array_equal(passed, f)
    wanted = 2 * f * c**2 / 12
    np.testing.assert_allclose(tape.gradient(loss, f), wanted, rtol=1e-12)


def by_numpy(values, form, norm_weight=2.0):
    """The term of features, matrices and, by pair, what the regressors have."""
    features, kernels, regressors = values
    outputs = [features @ kernel for kernel in kernels]
    total, axis = 0.0, 0
    matrices, biases = kernels, []
    for i, j in itertools.combinations(range(3), 2):
        if form == "activation":
            products = np.einsum("nk,nl->nkl", outputs[i], outputs[j])
            total += np.mean(products**2)
            continue
        axis = 1
        a, b, u, v = regressors[i, j]
        guess = np.maximum(outputs[j] @ a + u, 0) @ b + v
        total -= np.mean((outputs[i] * guess) ** 2)
        matrices, biases = [*matrices, a, b], [*biases, u, v]
    norms = sum(np.mean((np.sum(m**2, axis) - 1) ** 2) for m in matrices)
    norms += sum(max(0, np.sum(bias**2) - 1) for bias in biases)
    return 0.5 * (total + norm_weight * norms)


def in_float64(independence, linear):
    regressors = {
        tuple(map(int, name.split("_"))): [
            one.numpy().astype(float) for one in (*of.matrices, *of.biases)
        ]
        for name, of in independence._regressors.items()
    }
    kernels = [kernel.numpy().astype(float) for kernel in linear.kernels]
    return linear.features.numpy().astype(float), kernels, regressors


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("form", ["adversarial", "activation"])
def test_the_term_is_that_of_numpy(form, seed):
    independence, linear = Independence(config(form), DIMS), layers(seed)
    rng = np.random.default_rng(seed)
    for variable in independence.trainable_variables:
        variable.assign(rng.normal(size=variable.shape).astype("f"))
    wanted = by_numpy(in_float64(independence, linear), form)
    assert float(independence(linear)) == pytest.approx(wanted, rel=1e-5)
    assert bool(independence.trainable_variables) == (form == "adversarial")


@pytest.mark.parametrize("form", ["adversarial", "activation"])
def test_it_reaches_the_matrices_and_not_what_is_before(form):
    independence, linear = Independence(config(form), DIMS), layers(0)
    with tf.GradientTape() as tape:
        tape.watch(linear.features)
        loss = independence(linear)
    gradients = tape.gradient(loss, [linear.features, *linear.kernels])
    assert gradients[0] is None
    assert all(np.any(gradient.numpy()) for gradient in gradients[1:])


def test_the_network_plays_against_its_regressors():
    """A step of both: the regressors raise the product, the matrices lower it."""
    linear = layers(1)
    independence = Independence(config(adversarial_norm_weight=0.0), DIMS)

    def product():
        return -float(independence(linear))

    for variables, sign in (
        (independence.trainable_variables, 1),
        (linear.kernels, -1),
    ):
        with tf.GradientTape() as tape:
            loss = independence(linear)
        before = product()
        gradients = tape.gradient(loss, variables)
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_sub(1e-3 * gradient)
        assert sign * (product() - before) > 0


def test_gradients_are_those_of_differences():
    """In float64, without reversal, which no difference sees."""
    rng = np.random.default_rng(2)
    one, other = (tf.constant(rng.normal(size=[4, d])) for d in (3, 5))
    theoretical, numerical = tf.test.compute_gradient(activation, [one, other])
    for left, right in zip(theoretical, numerical, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("form", ["adversarial", "activation"])
def test_gradients_of_the_term_are_those_of_differences(form):
    """Matrices have the product's with the other sign where it passes reversal."""
    tf.random.set_seed(1)
    independence, linear = Independence(config(form), DIMS), layers(3)
    for regressor in independence._regressors.values():
        for bias in regressor.biases:
            # Beyond unit length, where the bound begins.
            bias.assign(tf.random.normal(bias.shape))
    own = [
        variable
        for regressor in independence._regressors.values()
        for variable in (*regressor.matrices, *regressor.biases)
    ]
    with tf.GradientTape() as tape:
        loss = independence(linear)
    slopes = tape.gradient(loss, [*linear.kernels, *own])
    values = in_float64(independence, linear)
    arrays = [*values[1], *(one for four in values[2].values() for one in four)]
    for number, (slope, array) in enumerate(zip(slopes, arrays, strict=True)):
        for seed in range(3):
            direction = np.random.default_rng(seed).normal(size=array.shape)
            direction /= np.linalg.norm(direction)
            rises = []
            for norm_weight in (0.0, 2.0):
                ends = []
                for step in (1e-6, -1e-6):
                    array += step * direction
                    ends.append(by_numpy(values, form, norm_weight))
                    array -= step * direction
                rises.append((ends[0] - ends[1]) / 2e-6)
            product, whole = rises
            reverses = form == "adversarial" and number < len(DIMS)
            wanted = whole - 2 * product if reverses else whole
            steepest = np.linalg.norm(slope)
            found = np.sum(slope.numpy() * direction)
            assert found == pytest.approx(wanted, rel=1e-3, abs=1e-4 * float(steepest))


def test_regressors_begin_from_the_seed_each_otherwise():
    starts = []
    for seed in (1, 1, 2):
        tf.random.set_seed(seed)
        regressors = Independence(config(), (4, 4, 4))._regressors.values()
        starts.append([regressor.matrices[0].numpy() for regressor in regressors])
    np.testing.assert_array_equal(starts[0], starts[1])
    assert np.all(np.abs(starts[0]) <= np.sqrt(6 / 516))
    firsts = [*starts[0], *starts[2]]
    for one, other in itertools.combinations(firsts, 2):
        assert np.abs(one - other).max() > 0.01


def test_without_the_last_layers_it_is_refused():
    boosted = Boosted(config(), Sizes(3, 6, (0, 1), DIMS))
    vectors = tf.nn.l2_normalize(tf.random.normal([4, 3, 6]), -1)
    batch = LossBatch(vectors, tf.constant([0, 0, 1, 1]), tf.constant([0, 0]))
    with pytest.raises(ValueError, match="needs the network's last layers"):
        boosted.of_network(batch)


def test_a_rate_of_its_own_is_that_of_regressors_alone():
    sizes = Sizes(3, 6, (0, 1), DIMS)
    assert Boosted(config(), sizes).rate_times == 1
    plain = LossConfig(metric_loss="bier", classifier_weight=1.0)
    assert table.create(plain, sizes).rate_times == 50


def test_regressors_have_a_hidden_layer():
    regressor = Regressor(6, 3)
    shapes = [tuple(matrix.shape) for matrix in regressor.matrices]
    assert shapes == [(6, 512), (512, 3)]
    assert regressor(tf.zeros([2, 6])).shape == (2, 3)
