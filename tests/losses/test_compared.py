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


def log1p_sum(exponents):
    return np.log1p(np.exp(np.asarray(exponents, np.float64)).sum())


def test_proxy_anchor_of_random_batches():
    rng = np.random.default_rng(3)
    for _ in range(3):
        x, p = (rng.normal(size=[n, 5]) for n in (8, 6))
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        labels = rng.integers(0, 4, 8)
        loss, compute = of(config("proxy_anchor"), x, labels, range(6))
        loss.proxies.assign(p[np.newaxis])
        s = x @ (p / np.linalg.norm(p, axis=1, keepdims=True)).T
        near = [log1p_sum(-32 * (s[labels == c, c] - 0.1)) for c in np.unique(labels)]
        far = [log1p_sum(32 * (s[labels != c, c] + 0.1)) for c in range(6)]
        expected = np.mean(near) + np.mean(far)
        assert float(compute()) == pytest.approx(expected, rel=1e-4)


def test_multi_similarity_of_random_batches():
    rng = np.random.default_rng(4)
    for _ in range(3):
        x = rng.normal(size=[9, 5])
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        labels = rng.integers(0, 3, 9)
        s, costs = x @ x.T, []
        for i in range(9):
            positives = s[i, (labels == labels[i]) & (np.arange(9) != i)]
            negatives = s[i, labels != labels[i]]
            if not len(positives) or not len(negatives):
                continue
            kept = positives[positives < negatives.max() + 0.1]
            pushed = negatives[negatives > positives.min() - 0.1]
            costs.append(
                log1p_sum(-2 * (kept - 0.5)) / 2 + log1p_sum(50 * (pushed - 0.5)) / 50
            )
        _, compute = of(config("multi_similarity"), x, labels)
        assert float(compute()) == pytest.approx(np.sum(costs) / 9, rel=1e-4)


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


@pytest.mark.parametrize("settings", every_loss(), ids=case)
def test_gradients_agree_with_differences(settings):
    """Along random directions, of embeddings and of what the loss has of its own."""
    labels, step = np.repeat([0, 1, 2, 3], 2), 1e-3
    tf.random.set_seed(1)
    loss, _ = of(settings, sphere(5), labels, range(4))
    x = tf.Variable(sphere(5), dtype=tf.float32)

    def now():
        batch = LossBatch(x[:, tf.newaxis], tf.constant(labels), [0, 3])
        return loss(batch)[0][0]

    for variable in (x, *loss.trainable_variables):
        with tf.GradientTape() as tape:
            found = now()
        slope = tape.gradient(found, variable).numpy()
        start, agreed = variable.numpy(), 0
        assert np.linalg.norm(slope) > 0
        for seed in range(6):
            direction = np.random.default_rng(seed).normal(size=slope.shape)
            direction /= np.linalg.norm(direction)
            values = []
            for sign in (1, -1):
                variable.assign(start + sign * step * direction)
                values.append(float(now()))
            variable.assign(start)
            difference = (values[0] - values[1]) / (2 * step)
            expected = (slope * direction).sum()
            agreed += abs(difference - expected) < 0.02 * np.linalg.norm(slope) + 1e-3
        # A hinge, a draw or another medoid may lie between the two points, rarely.
        assert agreed >= 5, variable.name


# What costs nothing in a batch of one class, and in one of as many classes as images.
FREE_OF_ONE_CLASS = {
    *("triplet_semihard", "triplet_hard", "lifted_struct", "multi_similarity"),
    "margin",
}
FREE_OF_LONE_IMAGES = FREE_OF_ONE_CLASS | {"npairs", "angular", "clustering"}


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
        compiled = tf.function(compute, jit_compile=True)
        np.testing.assert_allclose(compiled(), compute(), rtol=1e-4)


def test_far_vectors_of_any_length_stay_finite():
    free = config("lifted_struct", embedding_norm="free")
    _, compute = of(free, 150 * sphere(5), np.repeat([0, 1, 2, 3], 2), range(4))
    assert np.isfinite(float(compute()))
