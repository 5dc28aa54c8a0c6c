"""The oracles are float64 values computed apart, the NumPy form is written here."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses.adversarial import (
    Independence,
    Regressor,
    activation,
    reversed_gradient,
)
from abe_tf.losses.metric import LinearLayers

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


def by_numpy(independence, linear, form):
    outputs = [linear.features.numpy() @ kernel.numpy() for kernel in linear.kernels]
    kernels = [kernel.numpy() for kernel in linear.kernels]
    total, axis = 0.0, 0
    matrices, biases = kernels, []
    for i, j in itertools.combinations(range(3), 2):
        if form == "activation":
            products = np.einsum("nk,nl->nkl", outputs[i], outputs[j])
            total += np.mean(products**2)
            continue
        axis = 1
        (a, b), (u, v) = (
            [one.numpy() for one in values]
            for values in (
                independence._regressors[f"{i}_{j}"].matrices,
                independence._regressors[f"{i}_{j}"].biases,
            )
        )
        guess = np.maximum(outputs[j] @ a + u, 0) @ b + v
        total -= np.mean((outputs[i] * guess) ** 2)
        matrices, biases = [*matrices, a, b], [*biases, u, v]
    norms = sum(np.mean((np.sum(m**2, axis) - 1) ** 2) for m in matrices)
    norms += sum(max(0, np.sum(bias**2) - 1) for bias in biases)
    return 0.5 * (total + 2 * norms)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("form", ["adversarial", "activation"])
def test_the_term_is_that_of_numpy(form, seed):
    independence, linear = Independence(config(form), DIMS), layers(seed)
    rng = np.random.default_rng(seed)
    for variable in independence.trainable_variables:
        variable.assign(rng.normal(size=variable.shape).astype("f"))
    wanted = by_numpy(independence, linear, form)
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


def test_regressors_have_a_hidden_layer():
    regressor = Regressor(6, 3)
    shapes = [tuple(matrix.shape) for matrix in regressor.matrices]
    assert shapes == [(6, 512), (512, 3)]
    assert regressor(tf.zeros([2, 6])).shape == (2, 3)
