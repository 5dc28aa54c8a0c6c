"""TensorFlow Addons' losses and our own forms of them against a few lines of NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses import addons, lifted_struct, npairs, triplet_semihard
from abe_tf.losses.objective import ensemble_loss
from tests.losses import equations

LABELS = np.array([0, 0, 1, 1, 2, 2, 0, 0])


def embeddings(seed, learners=1):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=[len(LABELS), learners, 3]).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture(params=["as_installed", "own"])
def form(request, monkeypatch):
    """TensorFlow Addons where it is installed, and our own forms in any case."""
    if request.param == "own":
        monkeypatch.setattr(addons, "tensorflow_addons", lambda: None)


needs_addons = pytest.mark.skipif(
    addons.tensorflow_addons() is None, reason="TensorFlow Addons does not import"
)


def computed(config, learners, labels):
    """The loss of each learner, as training has it."""
    labels = tf.constant(labels)
    return ensemble_loss(tf.constant(learners), labels, config).metric.numpy()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "oracle", "argument"),
    [
        ("triplet_semihard", equations.triplet_semihard, 0.3),
        ("lifted_struct", equations.lifted_struct, 0.3),
        ("npairs", equations.npairs, 5.0),
    ],
)
def test_each_learner_has_the_loss_of_its_equation(name, oracle, argument, seed, form):
    config = LossConfig(metric_loss=name, margin_addons=0.3, npairs_scale=5.0)
    learners = embeddings(seed, 2)
    found = computed(config, learners, LABELS)
    expected = [oracle(learners[:, m], LABELS, argument) for m in range(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    total = ensemble_loss(tf.constant(learners), tf.constant(LABELS), config)
    np.testing.assert_allclose(
        total.total, sum(expected) + config.lambda_div * total.divergence, rtol=1e-4
    )


def test_npairs_leaves_out_what_is_no_pair(form):
    labels = np.array([0, 0, 1, 2, 3, 3, 4])
    vectors = embeddings(0)[: len(labels), 0]
    config = LossConfig(metric_loss="npairs", npairs_scale=4.0)
    (found,) = computed(config, vectors[:, np.newaxis], labels)
    kept = [0, 1, 4, 5]
    expected = equations.npairs(vectors[kept].astype(float), labels[kept], 4.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    alone = computed(config, vectors[:, np.newaxis], np.arange(len(labels)))
    assert alone.tolist() == [0.0]


def gradient(loss, vectors):
    vectors = tf.constant(vectors)
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        value = loss(vectors, tf.constant(LABELS))
    return value, tf.convert_to_tensor(tape.gradient(value, vectors))


@needs_addons
@pytest.mark.parametrize("length", [1.0, 3.0])
@pytest.mark.parametrize(
    ("settings", "ours"),
    [
        (
            {"metric_loss": "triplet_semihard", "distance": distance},
            lambda x, y, d=distance: triplet_semihard.triplet_semihard_loss(
                x, y, 0.3, d
            ),
        )
        for distance in ("plain", "squared")
    ]
    + [
        (
            {"metric_loss": "lifted_struct"},
            lambda x, y: lifted_struct.lifted_struct_loss(x, y, 0.3),
        ),
        (
            {"metric_loss": "npairs", "npairs_scale": 5.0},
            lambda x, y: npairs.npairs_loss(x, y, 5.0),
        ),
    ],
)
def test_our_forms_have_the_values_and_gradients_of_tensorflow_addons(
    settings, ours, length
):
    config = LossConfig(**settings, margin_addons=0.3, lambda_div=0.0)

    def theirs(x, labels):
        return ensemble_loss(x[:, tf.newaxis], labels, config).total

    for seed in range(3):
        vectors = length * embeddings(seed)[:, 0]
        value, slope = gradient(ours, vectors)
        expected, expected_slope = gradient(theirs, vectors)
        np.testing.assert_allclose(value, expected, rtol=1e-5)
        np.testing.assert_allclose(slope, expected_slope, atol=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        lambda x, y: triplet_semihard.triplet_semihard_loss(x, y, 1.0, "plain"),
        lambda x, y: lifted_struct.lifted_struct_loss(x, y, 1.0),
        lambda x, y: npairs.npairs_loss(x, y, 1.0),
    ],
)
def test_our_forms_stay_finite_in_batches_that_say_nothing(loss):
    vectors = tf.constant(embeddings(0)[:4, 0])
    alike = tf.ones_like(vectors)
    for batch, labels in (
        (vectors, [0, 0, 0, 0]),  # no negative
        (vectors, [0, 1, 2, 3]),  # no positive
        (alike, [0, 0, 1, 1]),  # all at one point
        (1e3 * vectors, [0, 0, 1, 1]),  # far apart
    ):
        with tf.GradientTape() as tape:
            tape.watch(batch)
            value = loss(batch, tf.constant(labels))
        assert np.isfinite(value), labels
        assert value >= 0
        slope = tf.convert_to_tensor(tape.gradient(value, batch))
        assert np.isfinite(slope).all(), labels
    assert float(loss(vectors, tf.constant([0, 1, 2, 3]))) == 0.0
