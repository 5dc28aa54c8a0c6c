import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.model import ModelConfig
from abe_tf.errors import InputError
from abe_tf.models import normalization, renormalized
from abe_tf.models.build import build, encoder
from abe_tf.models.normalization import BatchInstanceNormalization, InstanceHalf

IMAGES = np.array([[[1, 2], [3, 4]], [[5, 5], [7, 7]]], np.float32)[..., np.newaxis]


def layer(rho=1.0, shape=IMAGES.shape, **kwargs):
    made = BatchInstanceNormalization(0.9, 1e-5, False, **kwargs)
    made.build(tf.TensorShape(shape))
    made.rho.assign(np.full(shape[-1], rho))
    return made


def numpy_form(images, rho, gammas, betas, epsilon):
    """`rho * BN + (1 - rho) * IN` of training, in float64."""
    images = images.astype(np.float64)
    parts = []
    for axes, gamma, beta in zip(((0, 1, 2), (1, 2)), gammas, betas, strict=True):
        mean = images.mean(axes, keepdims=True)
        variance = images.var(axes, keepdims=True)
        parts.append(gamma * (images - mean) / np.sqrt(variance + epsilon) + beta)
    return rho * parts[0] + (1 - rho) * parts[1]


@pytest.mark.parametrize(
    ("rho", "image"),
    [
        (0.25, [[-1.4033, -0.6103], [0.1827, 0.9757]]),
        (1.0, [[-1.5882, -1.0995], [-0.6108, -0.1222]]),
        (0.0, [[-1.3416, -0.4472], [0.4472, 1.3416]]),
    ],
)
def test_values_are_those_of_an_oracle(rho, image):
    found = layer(rho)(IMAGES, training=True)[0, ..., 0]
    np.testing.assert_allclose(found, image, atol=5e-5)


@pytest.mark.parametrize("seed", range(3))
def test_equals_its_definition(seed):
    drawn = np.random.default_rng(seed)
    images = drawn.normal(2, 3, [5, 4, 6, 7])
    made = layer(shape=images.shape)
    for weight in made.trainable_weights:
        weight.assign(drawn.uniform(0, 1, 7))
    found = made(images.astype(np.float32), training=True)
    gammas = made.gamma.numpy(), made.instance_gamma.numpy()
    betas = made.beta.numpy(), made.instance_beta.numpy()
    expected = numpy_form(images, made.rho.numpy(), gammas, betas, 1e-5)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_gradients_are_those_of_finite_differences():
    drawn = np.random.default_rng(0)
    images = drawn.normal(size=[3, 2, 2, 2])
    weights = drawn.normal(size=images.shape)
    made = layer(0.4, images.shape)

    def loss(values):
        form = numpy_form(values, 0.4, (1, 1), (0, 0), 1e-5)
        return (form * weights).sum()

    x = tf.constant(images, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(made(x, training=True) * weights.astype(np.float32))
    by_x, by_rho = tape.gradient(total, [x, made.rho])
    step = np.zeros_like(images)
    for index in np.ndindex(images.shape):
        step[index] = 1e-5
        slope = (loss(images + step) - loss(images - step)) / 2e-5
        assert abs(by_x.numpy()[index] - slope) < 1e-4
        step[index] = 0
    by_batch, by_image = (
        numpy_form(images, rho, (1, 1), (0, 0), 1e-5) for rho in (1, 0)
    )
    expected = ((by_batch - by_image) * weights).sum((0, 1, 2))
    np.testing.assert_allclose(by_rho, expected, atol=1e-4)


def test_averages_are_those_of_keras():
    drawn = np.random.default_rng(0)
    theirs = tf.keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, fused=False)
    ours = layer(shape=[4, 3, 3, 5])
    for _ in range(3):
        images = drawn.normal(1, 2, [4, 3, 3, 5]).astype(np.float32)
        np.testing.assert_allclose(
            ours(images, training=True), theirs(images, training=True), atol=1e-5
        )
    np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, atol=1e-6)
    np.testing.assert_allclose(ours.moving_variance, theirs.moving_variance, atol=1e-5)
    np.testing.assert_allclose(ours(images), theirs(images), atol=1e-5)


def test_half_of_the_channels_are_normalised_by_image():
    drawn = np.random.default_rng(0)
    images = drawn.normal(1, 2, [4, 3, 3, 5]).astype(np.float32)
    made = InstanceHalf(0.9, 1e-5, False)
    found = made(images, training=True).numpy()
    ones, zeros = (1, 1), (0, 0)
    by_image = numpy_form(images, 0, ones, zeros, 1e-5)
    by_batch = numpy_form(images, 1, ones, zeros, 1e-5)
    np.testing.assert_allclose(found[..., :2], by_image[..., :2], atol=1e-5)
    np.testing.assert_allclose(found[..., 2:], by_batch[..., 2:], atol=1e-5)
    assert made.moving_mean.shape == [3]
    assert made.count_params() == 4 * 3 + 2 * 2


def pixels(size, count=3):
    drawn = np.random.default_rng(0).integers(0, 256, [count, size, size, 3])
    return drawn.astype(np.uint8)


def trained_encoder(name, size, **flags):
    """An encoder whose batch normalisations have learnt something."""
    tf.keras.utils.set_random_seed(0)
    found = encoder(
        ModelConfig(encoder=name, mobilenet_alpha=0.35, **flags), size, "none"
    )
    return found.network


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("inception_small", 32),
        pytest.param("inception_bn", 32, marks=pytest.mark.slow),
        ("mobilenet", 64),
        ("mobilenet_v2", 64),
        pytest.param("resnet50", 64, marks=pytest.mark.slow),
        pytest.param("efficientnet_b0", 64, marks=pytest.mark.slow),
        pytest.param("inception_v3", 107, marks=pytest.mark.slow),
    ],
)
def test_an_encoder_is_as_it_was_at_rho_1(name, size):
    plain = trained_encoder(name, size)
    drawn = np.random.default_rng(1)
    for one in plain.layers:
        if isinstance(one, tf.keras.layers.BatchNormalization):
            one.set_weights(
                [w * drawn.uniform(0.5, 1.5, w.shape) for w in one.get_weights()]
            )
    mixed = renormalized.with_normalization(plain, "batch_instance", False)
    images = pixels(size, 2)
    expected = plain(images).numpy()
    np.testing.assert_allclose(
        mixed(images), expected, atol=1e-5 * max(1, np.abs(expected).max())
    )
    assert [one.name for one in mixed.layers] == [one.name for one in plain.layers]
    for old, new in zip(plain.layers, mixed.layers, strict=True):
        if isinstance(old, tf.keras.layers.BatchNormalization):
            several = np.prod(old.output_shape[1:3]) > 1
            kind = BatchInstanceNormalization if several else normalization.OnePlace
            assert type(new) is kind
    for rho in renormalized.rhos(mixed).values():
        rho.assign(np.full(rho.shape, 0.5))
    assert np.abs(mixed(images) - expected).max() > 1e-3


@pytest.mark.parametrize("start", ["unit", "batch"])
def test_the_part_by_image_starts_as_asked(tmp_path, start):
    plain = tf.keras.applications.MobileNet(
        (32, 32, 3), alpha=0.25, include_top=False, weights=None
    )
    drawn = np.random.default_rng(0)
    for layer in plain.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            layer.gamma.assign(drawn.uniform(1, 2, layer.gamma.shape))
            layer.beta.assign(drawn.uniform(1, 2, layer.beta.shape))
    weights = tmp_path / "mobilenet.h5"
    plain.save_weights(weights)
    config = ModelConfig(
        ensemble="none",
        num_learners=1,
        embedding_dim=4,
        encoder="mobilenet",
        encoder_weights=str(weights),
        mobilenet_alpha=0.25,
        normalization="batch_instance",
        instance_affine=start,
    )
    network = build(config, 32)
    layers = [
        x for x in network.submodules if isinstance(x, BatchInstanceNormalization)
    ]
    assert layers
    for layer in layers:
        gamma, beta = layer.gamma.numpy(), layer.beta.numpy()
        assert (gamma > 1).all() and (beta > 1).all()
        as_batch = start == "batch"
        np.testing.assert_array_equal(layer.instance_gamma, gamma if as_batch else 1)
        np.testing.assert_array_equal(layer.instance_beta, beta if as_batch else 0)


@pytest.mark.parametrize("normalization", ["batch", "instance_half"])
def test_only_a_mixture_has_a_part_that_starts_somewhere(normalization):
    with pytest.raises(InputError, match="--instance_affine goes with"):
        ModelConfig(normalization=normalization, instance_affine="batch")


def test_half_keeps_what_was_learnt():
    plain = trained_encoder("inception_small", 32)
    first = next(
        x for x in plain.layers if isinstance(x, tf.keras.layers.BatchNormalization)
    )
    values = [np.random.default_rng(0).uniform(1, 2, 16) for _ in range(4)]
    first.set_weights(values)
    mixed = renormalized.with_normalization(plain, "instance_half", False)
    new = mixed.get_layer(first.name)
    gamma = np.concatenate([new.instance_gamma, new.gamma])
    beta = np.concatenate([new.instance_beta, new.beta])
    np.testing.assert_allclose(gamma, values[0], rtol=1e-6)
    np.testing.assert_allclose(beta, values[1], rtol=1e-6)
    np.testing.assert_allclose(new.moving_mean, values[2][8:], rtol=1e-6)
    np.testing.assert_allclose(new.moving_variance, values[3][8:], rtol=1e-6)


@pytest.mark.parametrize(
    "ensemble",
    [
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("none", "heads")),
        *("abe", "hdc", "bier"),
    ],
)
@pytest.mark.parametrize("kind", ["instance_half", "batch_instance"])
def test_every_ensemble_has_it(ensemble, kind):
    learners = 1 if ensemble == "none" else 2
    config = ModelConfig(
        ensemble=ensemble, num_learners=learners, embedding_dim=12, normalization=kind
    )
    network = build(config, 32)
    kinds = {type(x).__name__ for x in network.submodules}
    assert "BatchNormalization" not in kinds
    images = pixels(32)
    together = network(images).numpy()
    # By itself an image is the same as among others.
    alone = np.concatenate([network(images[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    found = renormalized.rhos(network)
    assert bool(found) == (kind == "batch_instance")
    layers = [
        x for x in network.submodules if isinstance(x, BatchInstanceNormalization)
    ]
    assert len(found) == len(layers)


def test_a_frozen_batch_part_stays_as_it_is():
    config = ModelConfig(
        ensemble="none",
        num_learners=1,
        embedding_dim=4,
        normalization="batch_instance",
        freeze_batch_norm=True,
    )
    network = build(config, 32)
    names = {v.name.rpartition("/")[2] for v in network.trainable_variables}
    assert {"rho:0", "instance_gamma:0"} <= names and "gamma:0" not in names
    before = [v.numpy() for v in network.non_trainable_variables]
    network(pixels(32), training=True)
    for old, new in zip(before, network.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    "kind",
    [pytest.param("instance_half", marks=pytest.mark.slow), "batch_instance"],
)
@pytest.mark.parametrize("frozen", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_weights_are_in_one_order_frozen_or_not(kind, frozen):
    """Or a network would start with another's weights exchanged."""
    flags = {"ensemble": "none", "num_learners": 1, "embedding_dim": 4}
    one, other = (
        build(ModelConfig(**flags, normalization=kind, freeze_batch_norm=value), 32)
        for value in (frozen, not frozen)
    )
    drawn = np.random.default_rng(0)
    for layer in one.submodules:
        if isinstance(layer, normalization.BatchAndInstance):
            for weight in layer.weights:
                weight.assign(drawn.uniform(0.1, 0.9, weight.shape))
    for theirs, ours in zip(one.layers, other.layers, strict=True):
        ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(other(pixels(32)), one(pixels(32)), atol=1e-6)


def test_googlenet_has_nothing_to_replace():
    with pytest.raises(InputError, match="googlenet has not"):
        ModelConfig(encoder="googlenet", normalization="batch_instance")


def test_lower_precision_computes_statistics_in_float32():
    images = np.random.default_rng(0).normal(100, 1, [2, 8, 8, 3]).astype(np.float32)
    low = layer(0.5, images.shape, dtype="mixed_bfloat16")
    found = low(tf.cast(images, tf.bfloat16), training=True)
    assert found.dtype == tf.bfloat16 and low.rho.dtype == tf.float32
    rounded = layer(0.5, images.shape)(
        tf.cast(tf.cast(images, tf.bfloat16), tf.float32), training=True
    )
    np.testing.assert_allclose(tf.cast(found, tf.float32), rounded, atol=0.02)
