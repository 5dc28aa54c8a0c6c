import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.model import ModelConfig
from abe_tf.layout import Layout
from abe_tf.models import ensemble
from abe_tf.models.build import build
from abe_tf.models.inception_small import inception_small

SIZE = 32


@pytest.fixture
def pixels():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, [3, SIZE, SIZE, 3], dtype=np.uint8)


def test_folding_learners_into_the_batch_equals_a_loop_over_learners(pixels):
    network = ensemble.attention_ensemble(inception_small(SIZE), Layout.equal(3, 8))
    features = network.get_layer("spatial")(pixels)
    trunk = network.get_layer("attention_trunk")(features)
    learners = []
    for learner in range(3):
        mask = network.get_layer(f"{ensemble.MASK}_{learner}")(trunk)
        embedded = network.get_layer("embedding_features")(features * mask)
        pooled = tf.reduce_mean(embedded, axis=[1, 2])
        vector = network.get_layer(ensemble.LINEAR)(pooled).numpy()
        learners.append(vector / np.linalg.norm(vector, axis=-1, keepdims=True))
    np.testing.assert_allclose(network(pixels), np.stack(learners, 1), atol=1e-5)


@pytest.mark.parametrize("kind", ["none", "heads", "abe"])
def test_learners_have_unit_length_and_differ(pixels, kind):
    count = 1 if kind == "none" else 2
    config = ModelConfig(ensemble=kind, num_learners=count, embedding_dim=16)
    learners = build(config, SIZE)(pixels).numpy()
    assert learners.shape == (3, count, 16 // count)
    np.testing.assert_allclose(np.linalg.norm(learners, axis=-1), 1, atol=1e-5)
    if count == 2:
        assert np.abs(learners[:, 0] - learners[:, 1]).max() > 1e-3


@pytest.mark.parametrize(("bias", "mask"), [(0.0, 0.5), (3.0, 0.953)])
def test_the_mask_bias_sets_where_masks_start(pixels, bias, mask):
    network = ensemble.attention_ensemble(
        inception_small(SIZE), Layout.equal(2, 8), mask_bias=bias
    )
    masks = tf.keras.Model(network.input, network.get_layer("attention_masks").output)
    values = masks(pixels).numpy()
    assert values.shape == (3, 2, 8, 8, 180)
    assert abs(float(np.median(values)) - mask) < 0.05


@pytest.mark.parametrize("copy", [True, False])
def test_the_trunk_starts_from_the_pretrained_blocks_and_is_apart(copy):
    network = ensemble.attention_ensemble(
        inception_small(SIZE), Layout.equal(2, 8), 0.0, copy
    )
    name = "inception_4a_3x3"
    trunk = network.get_layer("attention_trunk").get_layer(name)
    shared = network.get_layer("embedding_features").get_layer(name)
    assert np.array_equal(trunk.kernel, shared.kernel) == copy
    trunk.kernel.assign_add(tf.ones_like(trunk.kernel))
    assert not np.array_equal(trunk.kernel, shared.kernel)


@pytest.mark.parametrize("copy", [True, False])
def test_every_head_has_a_g_of_its_own(copy):
    network = ensemble.multi_head_ensemble(
        inception_small(SIZE), Layout.equal(2, 8), copy
    )
    first, second = (
        network.get_layer(f"embedding_features_{i}").get_layer("inception_4a_3x3")
        for i in range(2)
    )
    assert np.array_equal(first.kernel, second.kernel) == copy
    assert first.kernel is not second.kernel


def test_new_layers_are_the_linear_layer_and_the_masks():
    network = ensemble.attention_ensemble(inception_small(SIZE), Layout.equal(2, 8))
    names = [variable.name for variable in ensemble.new_layer_variables(network)]
    assert sorted(names) == [
        *("linear/bias:0", "linear/kernel:0"),
        *("mask_convolution_0/bias:0", "mask_convolution_0/kernel:0"),
        *("mask_convolution_1/bias:0", "mask_convolution_1/kernel:0"),
    ]


def test_without_a_linear_layer_the_pooled_features_are_embedded(pixels):
    config = ModelConfig(ensemble="none", num_learners=1, embedding_dim=0)
    network = build(config, SIZE)
    features = network.get_layer("spatial")(pixels)
    pooled = tf.reduce_mean(
        network.get_layer("embedding_features_0")(features), axis=[1, 2]
    ).numpy()
    expected = pooled / np.linalg.norm(pooled, axis=-1, keepdims=True)
    np.testing.assert_allclose(network(pixels)[:, 0], expected, atol=1e-5)


def test_frozen_batch_normalisation_ignores_the_batch(pixels):
    config = ModelConfig(
        ensemble="heads", num_learners=2, embedding_dim=8, freeze_batch_norm=True
    )
    network = build(config, SIZE)
    before = [value.copy() for value in network.get_weights()]
    training = network(pixels, training=True)
    np.testing.assert_allclose(training, network(pixels, training=False), atol=1e-6)
    assert all(map(np.array_equal, before, network.get_weights()))
    assert not any("bn/" in v.name for v in network.trainable_variables)
