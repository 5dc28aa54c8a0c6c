"""The loss is the global batch's, however many replicas share it."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.data import DataConfig
from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.data import datasets
from abe_tf.data.pipeline import Loader, Share, training_batches
from abe_tf.data.pixels.preprocessing import Preprocessing
from abe_tf.data.sampling import ClassSampler
from abe_tf.errors import InputError
from abe_tf.models import renormalized
from abe_tf.models.build import build, synchronise_batch_norm
from abe_tf.models.ensemble import new_layer_variables
from abe_tf.models.layers import PixelNormalization, SeededDropout, UnitLength
from abe_tf.retrieval.embedding import Embedder
from abe_tf.training import optimizers, strategies
from abe_tf.training.trainer import EnsembleTrainer

SIZE = 32
# Plain gradient descent, so that one step's change of the weights is the gradient.
SGD = TrainingConfig(
    optimizer="sgd", momentum=0.0, learning_rate=1.0, schedule="constant"
)
MODEL = ModelConfig(num_learners=2, embedding_dim=16, freeze_batch_norm=True)


def batch():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, [12, SIZE, SIZE, 3], np.uint8)
    # Classes reach across the replicas.
    return pixels, np.array([0, 1, 2, 3, 4, 5] * 2, np.int32)


def real_network():
    return build(MODEL, SIZE)


def mixed_network():
    """With instance normalisation mixed in, half and half."""
    model = dataclasses.replace(MODEL, normalization="batch_instance")
    network = build(model, SIZE)
    mixtures = renormalized.rhos(network).values()
    assert len(mixtures) > 10
    for rho in mixtures:
        rho.assign(tf.fill(rho.shape, 0.5))
    return network


def smooth_network():
    """Batch normalisation that trains, twice, and nothing with a kink.

    Behind ReLU and max pooling the last bit of a statistic decides which way a gradient
    goes: on one device, two kernels of batch normalisation already give gradients of
    the real network that differ by 2e-3.
    """
    layers = tf.keras.layers
    x = pixels = layers.Input([SIZE, SIZE, 3], dtype=tf.uint8)
    x = PixelNormalization((127.5,) * 3, 127.5, bgr=False)(x)
    for _ in range(2):
        x = layers.Conv2D(8, 3, 2, use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("tanh")(x)
    x = layers.Dense(16)(layers.GlobalAveragePooling2D()(x))
    learners = UnitLength()(layers.Reshape([2, 8])(x))
    network = tf.keras.Model(pixels, learners)
    synchronise_batch_norm(network)
    return network


def one_step(strategy_name, loss, make=real_network):
    """The change of every trainable variable, and what was logged."""
    strategy = strategies.create(strategy_name)
    tf.keras.utils.set_random_seed(0)
    with strategy.scope():
        network = make()
        trainer = EnsembleTrainer(network, new_layer_variables(network), loss)
        trainer.compile(optimizers.create(SGD))
    before = [w.numpy() for w in network.trainable_weights]
    data = tf.data.Dataset.from_tensors(batch()).unbatch().batch(12)
    logs = trainer.fit(data, verbose=0).history
    after = [w.numpy() for w in network.trainable_weights]
    return np.concatenate(
        [(b - a).ravel() for a, b in zip(before, after, strict=True)]
    ), logs


LOSSES = [
    LossConfig(loss_reduction="mean", lambda_div=0.5),
    LossConfig(loss_reduction="published", lambda_div=0.5),
    LossConfig(metric_loss="triplet_semihard", lambda_div=0.5),
]


@pytest.mark.parametrize(
    "loss",
    [
        pytest.param(LOSSES[0], id="mean"),
        *(
            pytest.param(loss, id=name, marks=pytest.mark.slow)
            for loss, name in zip(LOSSES[1:], ("published", "triplet"), strict=True)
        ),
    ],
)
@pytest.mark.parametrize(
    ("make", "tolerance"),
    [
        pytest.param(real_network, 1e-5, id="frozen"),
        pytest.param(smooth_network, 1e-4, id="synchronised"),
        pytest.param(mixed_network, 1e-4, id="mixed", marks=pytest.mark.slow),
    ],
)
def test_two_replicas_give_the_gradients_of_one(loss, make, tolerance):
    assert strategies.create("mirrored").num_replicas_in_sync == 2
    alone, logs_alone = one_step("default", loss, make)
    shared, logs_shared = one_step("mirrored", loss, make)
    norm = np.linalg.norm(alone)
    assert norm > 0
    assert np.linalg.norm(alone - shared) < tolerance * norm
    for tag, values in logs_alone.items():
        np.testing.assert_allclose(logs_shared[tag], values, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("encoder", ["inception_small", "mobilenet"])
def test_every_batch_norm_that_trains_is_synchronised_between_replicas(encoder, frozen):
    model = dataclasses.replace(MODEL, encoder=encoder, freeze_batch_norm=frozen)
    for name in ("default", "mirrored"):
        with strategies.create(name).scope():
            network = build(model, SIZE)
        norms = [
            layer
            for layer in network.submodules
            if isinstance(layer, tf.keras.layers.BatchNormalization)
        ]
        assert len(norms) > 20
        expected = name == "mirrored" and not frozen
        assert {layer.synchronized for layer in norms} == {expected}


def pipeline(photos):
    data = DataConfig(
        dataset="image_folder", data_dir=str(photos), image_size=SIZE, resize_size=36
    )
    train = datasets.load(data).train
    loader = Loader(train, Preprocessing.of(data))
    return loader, ClassSampler(train.labels, [2] * 4, 0)


def test_replicas_share_one_batch_of_the_pipeline(photos):
    """Each image of the global batch goes to one replica, in the batch's order."""
    loader, sampler = pipeline(photos)
    strategy = strategies.create("mirrored")
    alone = training_batches(loader, sampler, 0, 0, 3)
    shared = strategy.distribute_datasets_from_function(
        lambda context: training_batches(
            loader, sampler, 0, 0, 3, share=Share.of(context)
        )
    )
    for whole, parts in zip(alone, shared, strict=True):
        for expected, part in zip(whole, parts, strict=True):
            local = strategy.experimental_local_results(part)
            assert [len(values) for values in local] == [4, 4]
            np.testing.assert_array_equal(np.concatenate(local), expected)


@pytest.mark.parametrize("total", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_processes_read_their_own_part_of_a_batch(photos, total):
    loader, sampler = pipeline(photos)
    (whole, labels) = next(iter(training_batches(loader, sampler, 0, 5, 6)))
    parts = [
        next(
            iter(
                training_batches(loader, sampler, 0, 5, 6, share=Share(first, 1, total))
            )
        )
        for first in range(total)
    ]
    np.testing.assert_array_equal(np.concatenate([p[0] for p in parts]), whole)
    np.testing.assert_array_equal(np.concatenate([p[1] for p in parts]), labels)


@pytest.fixture(scope="module")
def embedders():
    """One device's, and that of two replicas of the same network."""
    found = []
    for name in ("default", "mirrored"):
        tf.keras.utils.set_random_seed(0)
        with strategies.create(name).scope():
            found.append(Embedder(build(MODEL, SIZE)))
    return found


@pytest.mark.parametrize(
    "batch_size", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 8, 64))]
)
def test_replicas_share_an_evaluation(photos, embedders, batch_size):
    """20 images do not come out even; each is embedded once, in order."""
    loader, _ = pipeline(photos)
    embeddings = [embedder(loader, batch_size) for embedder in embedders]
    assert embeddings[1].shape == (20, 2, 8)
    np.testing.assert_allclose(*embeddings, atol=1e-5)


def test_dropout_draws_for_the_global_batch():
    """Each replica drops what one device would at its place."""
    values, found = tf.ones([8, 50]), []
    for name in ("default", "mirrored"):
        strategy = strategies.create(name)
        with strategy.scope():
            layer = SeededDropout(0.5, number=1)
        layer.seed = lambda: tf.constant([5, 0], tf.int64)
        own = 8 // strategy.num_replicas_in_sync
        given = strategy.experimental_distribute_values_from_function(
            lambda context, own=own: values[:own]
        )
        parts = strategy.run(lambda x, layer=layer: layer(x, training=True), (given,))
        found.append(np.concatenate(strategy.experimental_local_results(parts)))
    alone, shared = found
    assert 0.3 < (alone == 0).mean() < 0.7
    np.testing.assert_array_equal(shared, alone)


def test_auto_uses_one_device_where_there_is_no_second_gpu():
    if len(tf.config.list_logical_devices("GPU")) > 1:
        pytest.skip("this machine has several GPUs, where auto means mirrored")
    assert strategies.create("auto").num_replicas_in_sync == 1


def test_a_batch_that_replicas_cannot_share_is_refused():
    with pytest.raises(InputError, match="Received: 9 and 2"):
        strategies.check_batch(strategies.create("mirrored"), 9)


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "{}",
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_a_malformed_cluster_is_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match="TF_CONFIG must be JSON"):
        strategies.create("auto")


def test_several_workers_without_a_cluster_are_refused(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(InputError, match="needs TF_CONFIG"):
        strategies.create("multi_worker")


def test_xla_is_never_automatic_on_a_cpu():
    strategy = strategies.create("default")
    assert not tf.config.list_physical_devices("GPU")
    compiled = {
        jit: strategies.compiles(strategy, jit) for jit in ("auto", "on", "off")
    }
    assert compiled == {"auto": False, "on": True, "off": False}
