"""The losses that ABE is compared with: values, gradients, and what says nothing.

The values were computed from the papers' equations, in float64.
"""

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.loss import METRIC_LOSSES, NOT_COMPILED
from abe_tf.losses import table
from abe_tf.losses.metric import LossBatch
from abe_tf.losses.objective import ensemble_loss
from tests.losses.fixture import LABELS, PLANE, PROXIES, config, of, value


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (config("contrastive", loss_reduction="published"), 0.347089199),
        # 0 and 60 degrees are at the margin, and cost nothing: half of what is active
        # just beyond it.
        (config("contrastive"), 0.701815),
        (config("contrastive", margin_contrastive=1.000001), 0.435770680),
        (
            config(
                "contrastive", loss_reduction="published", contrastive_hinge="squared"
            ),
            0.101501542,
        ),
        (config("lifted_struct"), 2.013155168),
        (config("npairs", npairs_scale=16.0), 0.061317503),
        (config("npairs", npairs_scale=1.0), 0.536711564),
        (config("angular"), 0.461245161),
        (config("clustering"), 0.0),
        (config("clustering", clustering_gamma=4.0), pytest.approx(0.4258, abs=5e-5)),
    ],
    ids=lambda one: getattr(one, "metric_loss", None),
)
def test_values_of_the_equations(settings, expected):
    if isinstance(expected, float):
        expected = pytest.approx(expected, rel=2e-5, abs=1e-6)
    assert value(settings) == expected


def test_the_paper_of_npairs_adds_the_lengths():
    free = config("npairs", npairs_scale=1.0, embedding_norm="free")
    x = tf.constant(PLANE[:, np.newaxis], tf.float32)
    terms = ensemble_loss(x, tf.constant(LABELS), free)
    assert float(terms.metric[0]) == pytest.approx(0.537711564, rel=1e-6)
    assert float(terms.scalars["embedding/length"]) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize(
    ("positive", "scale", "expected"),
    [
        ("excluded", 1.0, -1.488816106),
        ("included", 1.0, 0.246405061),
        ("excluded", 3.0, -15.163517651),
        ("included", 3.0, 0.000597687),
    ],
)
def test_proxy_nca(positive, scale, expected):
    settings = config("proxy_nca", proxy_positive=positive, proxy_scale=scale)
    assert value(settings, proxies=True) == pytest.approx(expected, rel=2e-4)


def test_proxy_nca_smooths_its_target():
    x, p = PLANE, np.stack([np.cos(PROXIES), np.sin(PROXIES)], 1)
    logits = -np.square(x[:, None] - p[None]).sum(-1)
    target = np.where(LABELS[:, None] == np.arange(3), 0.9, 0.05)
    log_shares = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    settings = config(
        "proxy_nca", proxy_positive="included", proxy_scale=1.0, proxy_smoothing=0.1
    )
    expected = -(target * log_shares).sum(1).mean()
    assert value(settings, proxies=True) == pytest.approx(expected, rel=1e-5)


def every_loss():
    yield from (config(name) for name in METRIC_LOSSES)
    yield config("contrastive", contrastive_hinge="squared")
    yield config("proxy_nca", proxy_positive="included", proxy_scale=3.0)
    yield config("angular", npairs_weight=0.5)


def case(settings):
    return (
        "-".join(str(v) for v in (settings.metric_loss, settings.contrastive_hinge[0]))
        + settings.proxy_positive[0]
        + str(settings.npairs_weight)
    )


def sphere(seed, count=8, dim=5):
    x = np.random.default_rng(seed).normal(size=[count, dim])
    return x / np.linalg.norm(x, axis=1, keepdims=True)


# What costs nothing in a batch of one class, and in one of as many classes as images.
FREE_OF_ONE_CLASS = {
    *("triplet_semihard", "triplet_hard", "lifted_struct", "multi_similarity"),
    *("margin", "clustering"),
}
FREE_OF_LONE_IMAGES = FREE_OF_ONE_CLASS | {"npairs", "angular"}


@pytest.mark.parametrize("settings", every_loss(), ids=case)
def test_batches_that_say_nothing_cost_nothing_and_have_gradients(settings):
    alike, opposite = np.ones([4, 3]) / np.sqrt(3), sphere(1, 2, 3)
    opposite = np.concatenate([opposite, -opposite])
    for x, labels in (
        (sphere(2, 4, 3), [0, 0, 0, 0]),
        (sphere(2, 4, 3), [0, 1, 2, 3]),
        (alike, [0, 0, 1, 1]),
        (opposite, [0, 1, 0, 1]),
    ):
        loss, _ = of(settings, x, labels, range(4))
        vectors = tf.constant(x, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            batch = LossBatch(vectors[:, tf.newaxis], tf.constant(labels), [0, 0])
            found = loss(batch)[0]
        own = loss.trainable_variables
        gradients = tape.gradient(found, [vectors, *own], unconnected_gradients="zero")
        assert np.isfinite(found).all(), labels
        if len(set(labels)) == 1 and settings.metric_loss in FREE_OF_ONE_CLASS:
            assert float(found[0]) == 0.0
        if len(set(labels)) == 4 and settings.metric_loss in FREE_OF_LONE_IMAGES:
            assert float(found[0]) == pytest.approx(0, abs=1e-6)
        for gradient in gradients:
            assert np.isfinite(gradient).all(), labels


def test_every_name_is_in_the_table():
    assert tuple(table.CREATE) == METRIC_LOSSES


@pytest.mark.parametrize("settings", every_loss(), ids=case)
def test_what_says_that_xla_compiles_it_does(settings):
    labels = np.repeat([0, 1, 2, 3], 2)
    tf.random.set_seed(1)
    loss, compute = of(settings, sphere(5), labels, range(4))
    assert loss.compilable == (settings.metric_loss not in NOT_COMPILED)
    if loss.compilable:
        # With what it tells TensorBoard, which a step compiles too.
        given = tf.constant(sphere(5)[:, np.newaxis], tf.float32)
        batch = LossBatch(given, tf.constant(labels), tf.constant([0, 0]))
        compiled = tf.function(lambda: loss(batch), jit_compile=True)
        for one, other in zip(
            tf.nest.flatten(compiled()), tf.nest.flatten(loss(batch)), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-4)


def test_far_vectors_of_any_length_stay_finite():
    free = config("lifted_struct", embedding_norm="free")
    _, compute = of(free, 150 * sphere(5), np.repeat([0, 1, 2, 3], 2), range(4))
    assert np.isfinite(float(compute()))
