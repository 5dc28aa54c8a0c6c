"""Losses with variables: they move, lie in checkpoints, and go on to the bit."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.errors import InputError
from abe_tf.losses import table
from abe_tf.losses.metric import Sizes
from abe_tf.models import ensemble
from abe_tf.models.build import build
from abe_tf.storage.contents import restore_network
from abe_tf.training import optimizers, strategies
from abe_tf.training.checkpoints import Checkpoints
from abe_tf.training.trainer import EnsembleTrainer

CLASSES = (1, 2, 5, 7)
STATEFUL = {
    **{name: {"metric_loss": name} for name in ("proxy_nca", "proxy_anchor", "margin")},
    "classifier": {"classifier_weight": 1.0},
}
TRAINING = TrainingConfig(learning_rate=0.01, steps=8)


def changed(**settings):
    return dataclasses.replace(TRAINING, **settings)


def small_trainer(loss, classes=CLASSES, training=TRAINING, strategy="default"):
    """Two learners of three dimensions, from twelve numbers."""
    tf.keras.utils.set_random_seed(3)
    with strategies.create(strategy).scope():
        inputs = tf.keras.Input([12])
        linear = tf.keras.layers.Dense(6, name="linear")
        rows = tf.keras.layers.Reshape([2, 3])(linear(inputs))
        norm = tf.keras.layers.Lambda(lambda x: tf.math.l2_normalize(x, -1))
        network = tf.keras.Model(inputs, norm(rows))
        metric = table.create(loss, Sizes(2, 3, classes))
        new = linear.trainable_variables
        free = tf.keras.Model(inputs, rows) if loss.embedding_norm == "free" else None
        trainer = EnsembleTrainer(network, new, loss, metric=metric, seed=4, seen=free)
        own = bool(metric.trainable_variables)
        trainer.compile(optimizers.create(training, for_loss=own))
    return trainer


def batches(first, end):
    for number in range(first, end):
        rng = np.random.default_rng(number)
        x = rng.normal(size=[8, 12]).astype("f")
        yield x, np.repeat(CLASSES, 2).astype(np.int32)


def train(trainer, first, end):
    for x, labels in batches(first, end):
        data = tf.data.Dataset.from_tensors((x, labels)).unbatch().batch(8)
        logs = trainer.fit(data, verbose=0).history
    return logs


def state(trainer):
    own = trainer.state_of_loss()
    values = [*trainer.network.weights, *own["metric_loss"].variables]
    return [np.array(one) for one in [*values, *own["loss_optimizer"].variables]]


def opened(trainer, path):
    names = [f"class_{number}" for number in range(9)]
    folders = (str(path / "last"), str(path / "best"))
    return Checkpoints(trainer, *folders, 2, print, class_names=names)


@pytest.mark.parametrize("name", STATEFUL)
def test_the_variables_move_with_a_rate_of_their_own(name):
    loss = LossConfig(**STATEFUL[name])
    trainer = small_trainer(loss)
    (variable,) = trainer.state_of_loss()["metric_loss"].trainable_variables
    before, weights = variable.numpy(), trainer.network.get_weights()
    logs = train(trainer, 0, 1)
    assert logs["gradient_norm/loss"][0] > 0
    # Adam's first step is the rate, 50 times the encoder's.
    moved = np.abs(variable.numpy() - before).max()
    np.testing.assert_allclose(moved, 0.5, rtol=1e-3)
    rates = trainer.learning_rates()
    assert rates["loss"] == pytest.approx(50 * rates["encoder"])
    others = np.abs(trainer.network.get_weights()[0] - weights[0]).max()
    np.testing.assert_allclose(others, 0.01, rtol=1e-3)


@pytest.mark.parametrize("name", STATEFUL)
def test_a_run_goes_on_to_the_bit(name, tmp_path):
    loss = LossConfig(**STATEFUL[name])
    whole = small_trainer(loss)
    train(whole, 0, 6)
    first = small_trainer(loss)
    train(first, 0, 3)
    opened(first, tmp_path).save()
    second = small_trainer(loss)
    assert opened(second, tmp_path).restore() == 3
    train(second, 3, 6)
    for one, other in zip(state(whole), state(second), strict=True):
        np.testing.assert_array_equal(one, other)
    # What is not training needs none of it.
    network = small_trainer(LossConfig()).network
    restore_network(network, str(tmp_path / "last"), False, False, print)
    kernels = (one.get_weights()[0] for one in (network, first.network))
    np.testing.assert_array_equal(*kernels)


@pytest.mark.parametrize("name", STATEFUL)
def test_the_variables_do_not_decay(name):
    loss, found = LossConfig(**STATEFUL[name]), []
    for decay in (0.0, 0.5):
        trainer = small_trainer(loss, training=changed(weight_decay=decay))
        train(trainer, 0, 1)
        own = trainer.state_of_loss()["metric_loss"].trainable_variables
        found.append([one.numpy() for one in (*own, *trainer.network.weights)])
    (own, kernel, _), (same, smaller, _) = found
    np.testing.assert_array_equal(own, same)
    np.testing.assert_array_less(np.linalg.norm(smaller), np.linalg.norm(kernel))


@pytest.mark.parametrize("name", STATEFUL)
def test_the_variables_count_for_the_norm_that_is_clipped(name):
    training = changed(clip_norm=1e-3, optimizer="sgd", loss_optimizer="sgd")
    training = dataclasses.replace(training, momentum=0.0, loss_learning_rate=0.01)
    trainer = small_trainer(LossConfig(**STATEFUL[name]), training=training)
    own = trainer.state_of_loss()["metric_loss"].trainable_variables
    variables = [*own, *trainer.network.weights]
    before = [one.numpy() for one in variables]
    train(trainer, 0, 1)
    moved = [one.numpy() - old for one, old in zip(variables, before, strict=True)]
    whole = np.sqrt(sum(np.square(one).sum() for one in moved))
    np.testing.assert_allclose(whole, 0.01 * 1e-3, rtol=0.02)


def test_rmsprop_trains_the_variables_too():
    training = changed(loss_optimizer="rmsprop")
    trainer = small_trainer(LossConfig(metric_loss="proxy_nca"), training=training)
    proxies = trainer.state_of_loss()["metric_loss"].proxies
    before = proxies.numpy()
    train(trainer, 0, 1)
    # A first step divides by the root of a tenth of the square: its mean so far.
    moved = np.abs(proxies.numpy() - before).max()
    np.testing.assert_allclose(moved, 0.5 * np.sqrt(10), rtol=1e-3)


def test_a_loss_below_nothing_is_no_failure():
    """What Proxy-NCA's first form goes to, where classes are told apart."""
    trainer = small_trainer(LossConfig(metric_loss="proxy_nca", lambda_div=0.0))
    x, labels = next(batches(0, 1))
    data = tf.data.Dataset.from_tensors((x, labels)).unbatch().batch(8).repeat(40)
    logs = trainer.fit(data, verbose=0, steps_per_epoch=40).history
    assert logs["loss/total"][0] < 0
    assert trainer.failure() is None


@pytest.mark.parametrize("classes", [(1, 2, 5, 8), (1, 2, 5, 7, 8)])
def test_other_classes_are_refused_by_name(tmp_path, classes):
    loss = LossConfig(metric_loss="proxy_nca")
    opened(small_trainer(loss), tmp_path).save()
    with pytest.raises(InputError, match="the first that differs: class_[78]"):
        opened(small_trainer(loss, classes), tmp_path).restore()


def test_a_checkpoint_of_another_loss_is_refused(tmp_path):
    opened(small_trainer(LossConfig()), tmp_path).save()
    with pytest.raises(InputError, match="must be of the network in its run's"):
        opened(small_trainer(LossConfig(metric_loss="margin")), tmp_path).restore()


@pytest.mark.parametrize(
    "settings",
    [
        STATEFUL["margin"],
        {"metric_loss": "clustering"},
        {"metric_loss": "bier"},
        {"metric_loss": "lifted_struct", "embedding_norm": "free"},
        *(
            pytest.param(settings, marks=pytest.mark.slow)
            for settings in (
                *(one for name, one in STATEFUL.items() if name != "margin"),
                {"metric_loss": "triplet_semihard"},
                {"metric_loss": "lifted_struct"},
                {"metric_loss": "npairs"},
                {"metric_loss": "multi_similarity"},
                {"metric_loss": "hdc"},
                {"metric_loss": "angular", "embedding_norm": "free"},
                {"contrastive_hinge": "squared"},
            )
        ),
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_two_replicas_give_the_step_of_one(settings):
    loss = LossConfig(**settings)
    training = TrainingConfig(
        optimizer="sgd", loss_optimizer="sgd", momentum=0.0, learning_rate=0.1
    )
    found = []
    for strategy in ("default", "mirrored"):
        trainer = small_trainer(loss, training=training, strategy=strategy)
        logs = train(trainer, 0, 2)
        own = trainer.state_of_loss().get("metric_loss")
        values = [*trainer.network.weights, *(own.trainable_variables if own else [])]
        found.append([tf.convert_to_tensor(value).numpy() for value in values])
        found[-1].append(np.array(logs["loss/total"]))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_float16_scales_the_loss_of_all_three():
    loss = LossConfig(metric_loss="proxy_anchor")
    trainer = small_trainer(loss)
    trainer.compile(optimizers.create(TRAINING, "float16", for_loss=True))
    before = trainer.state_of_loss()["metric_loss"].proxies.numpy()
    train(trainer, 0, 1)
    moved = np.abs(trainer.state_of_loss()["metric_loss"].proxies.numpy() - before)
    assert 0 < moved.max() <= 0.51


def test_free_lengths_are_of_the_loss_alone():
    loss = LossConfig(metric_loss="npairs", embedding_norm="free", npairs_scale=1.0)
    trainer = small_trainer(loss)
    logs = train(trainer, 0, 1)
    assert logs["embedding/length"][0] != pytest.approx(1, abs=0.01)
    x = next(batches(0, 1))[0]
    lengths = np.linalg.norm(trainer(x), axis=-1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)


@pytest.mark.parametrize(
    "precision", [pytest.param("bfloat16", marks=pytest.mark.slow), "float16"]
)
def test_free_lengths_of_lower_precision_reach_the_loss_in_float32(precision):
    loss = LossConfig(metric_loss="npairs", embedding_norm="free", npairs_scale=1.0)
    tf.keras.utils.set_random_seed(3)
    model = ModelConfig(num_learners=2, embedding_dim=16, precision=precision)
    network = build(model, 32)
    seen = ensemble.before_lengths(network, unit=False)
    new = ensemble.new_layer_variables(network)
    trainer = EnsembleTrainer(network, new, loss, seen=seen)
    trainer.compile(optimizers.create(TRAINING, precision))
    pixels = np.random.default_rng(0).integers(0, 256, [8, 32, 32, 3], np.uint8)
    labels = np.repeat(CLASSES, 2).astype(np.int32)
    data = tf.data.Dataset.from_tensors((pixels, labels)).unbatch().batch(8)
    assert np.isfinite(trainer.fit(data, verbose=0).history["loss/total"][0])


@pytest.mark.parametrize("name", ["margin", "multi_similarity", "clustering"])
def test_embeddings_that_are_no_numbers_are_a_failure(name):
    trainer = small_trainer(LossConfig(metric_loss=name))
    x, labels = next(batches(0, 1))
    x[3] = np.nan
    data = tf.data.Dataset.from_tensors((x, labels)).unbatch().batch(8)
    trainer.fit(data, verbose=0)
    step, terms = trainer.failure()
    assert step == 0
    assert "the metric loss" in terms
