"""The meta update: what it moves, by how much, and the same however it is run."""

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.data import DataConfig
from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.data import datasets, samplers
from abe_tf.data.pipeline import Loader, Share, training_batches
from abe_tf.data.pixels.preprocessing import Preprocessing
from abe_tf.errors import InputError
from abe_tf.losses.domains import scatter_loss, shuffle_loss
from abe_tf.losses.triplet_hard import triplet_hard_loss
from abe_tf.models import normalization, renormalized
from abe_tf.runs.flags import RunFlags
from abe_tf.training import meta
from tests.data.test_domains import config, places
from tests.helpers.mixtures import (
    goes_on_to_the_bit,
    pixels,
    rhos_of,
    trainer_of,
    weights_of,
)

DOMAINS = 3
# Of each domain two classes of two images; domains in turn.
IDS = np.repeat([0, 0, 1, 1], DOMAINS).astype(np.int32)


def _in_two(*parts):
    """Each replica's part of a step, one behind the other."""
    return tf.nest.map_structure(
        lambda whole: tf.reshape(whole, [2, -1, *whole.shape[1:]]), parts
    )


def train(trainer, first, end):
    labels = np.array([0, 1, 2, 3] * 2, np.int32)
    for number in range(first, end):
        base = tf.data.Dataset.from_tensors((pixels(number), labels))
        others = tf.data.Dataset.from_tensors((pixels(number + 50, 12), IDS))
        base, others = base.unbatch().batch(8), others.unbatch().batch(12)
        data = tf.data.Dataset.zip((base, others))
        strategy = trainer.distribute_strategy
        if strategy.num_replicas_in_sync > 1:
            data = data.map(_in_two).unbatch()
            data = strategy.distribute_datasets_from_function(lambda _, d=data: d)
        logs = trainer.fit(data, steps_per_epoch=1, verbose=0).history
    return logs


def spread(trainer):
    """Mixtures from anywhere within their bounds."""
    rng = np.random.default_rng(0)
    for rho in renormalized.rhos(trainer.network).values():
        rho.assign(rng.uniform(0.3, 0.7, rho.shape))


def part(number, first, end):
    chosen = np.arange(12).reshape(-1, DOMAINS)[:, first:end]
    domains = np.tile(np.arange(first, end), len(chosen))
    return pixels(number, 12)[chosen.ravel()], IDS[chosen.ravel()], domains


def meta_train_loss(network, number):
    x, ids, domains = part(number, 0, 2)
    embeddings = network(x, training=True)
    terms = (
        scatter_loss(embeddings, domains),
        shuffle_loss(embeddings, ids, domains),
        triplet_hard_loss(embeddings, ids, 0.3),
    )
    return tf.add_n([tf.reduce_mean(term) for term in terms])


def meta_test_loss(network, number):
    x, ids, _ = part(number, 2, 3)
    return tf.reduce_mean(triplet_hard_loss(network(x, training=True), ids, 0.3))


def set_rhos(network, values):
    split = np.split(values, 2)
    for rho, value in zip(renormalized.rhos(network).values(), split, strict=True):
        rho.assign(value)


def gradient(network, loss, number):
    rhos = list(renormalized.rhos(network).values())
    with normalization.mixing([], []), tf.GradientTape() as tape:
        value = loss(network, number)
    return np.concatenate(tape.gradient(value, rhos))


def inner(network, start, rate):
    set_rhos(network, start)
    moved = start - rate * gradient(network, meta_train_loss, 50)
    return np.clip(moved, 0, 1)


def test_the_update_is_that_of_the_formula():
    """With rates of 0 elsewhere, so that the base update leaves the network."""
    rate, highest = 2.0, 3.0
    trainer = trainer_of(
        domains=DOMAINS, learning_rate=0.0, rho_learning_rate=rate, meta_step=highest
    )
    spread(trainer)
    trainer.step.assign(50)
    before = rhos_of(trainer)
    logs = train(trainer, 0, 1)
    after = rhos_of(trainer)
    assert logs["meta/inner_step"][0] == pytest.approx(rate * highest)
    network = trainer.network
    moved = inner(network, before, rate * highest)
    assert ((moved == 0) | (moved == 1)).any() and np.ptp(moved - before) > 0.1
    set_rhos(network, moved)
    outer = gradient(network, meta_test_loss, 50)
    np.testing.assert_allclose(after, np.clip(before - rate * outer, 0, 1), atol=1e-5)
    assert logs["gradient_norm/rho"][0] == pytest.approx(
        np.linalg.norm(outer), rel=1e-4
    )


def test_second_order_is_the_derivative_of_both_steps():
    rate, highest = 0.5, 0.2
    trainer = trainer_of(
        domains=DOMAINS,
        learning_rate=0.0,
        rho_learning_rate=rate,
        meta_step=highest,
        meta_second_order=True,
    )
    spread(trainer)
    trainer.step.assign(50)
    before = rhos_of(trainer)
    train(trainer, 0, 1)
    found = (before - rhos_of(trainer)) / rate
    network = trainer.network

    def after_both(start):
        set_rhos(network, inner(network, start, rate * highest))
        with normalization.mixing([], []):
            return float(meta_test_loss(network, 50))

    slopes = []
    for index in range(len(before)):
        step = np.zeros_like(before)
        step[index] = 0.002
        slopes.append((after_both(before + step) - after_both(before - step)) / 0.004)
    np.testing.assert_allclose(found, slopes, atol=5e-3 * np.abs(slopes).max())
    set_rhos(network, inner(network, before, rate * highest))
    first = gradient(network, meta_test_loss, 50)
    assert np.abs(found - first).max() > np.abs(found - slopes).max()


def test_only_the_mixtures_move_and_the_averages_stay():
    # A base step of all but rho: one without a meta update, whose rho has no rate.
    plain = trainer_of(rho_learning_rate=0.0)
    both = trainer_of(domains=DOMAINS, rho_learning_rate=50.0)
    for trainer in (plain, both):
        spread(trainer)
    labels = np.array([0, 1, 2, 3] * 2, np.int32)
    plain.fit(tf.data.Dataset.from_tensors((pixels(0), labels)), verbose=0)
    train(both, 0, 1)
    moved = []
    for variable, one, other in zip(
        plain.network.weights, weights_of(plain), weights_of(both), strict=True
    ):
        if "rho" in variable.name:
            moved.append(np.abs(one - other).max())
            assert other.min() >= 0 and other.max() <= 1
        else:
            np.testing.assert_allclose(one, other, atol=1e-6)
    assert min(moved) > 0.1


@pytest.mark.parametrize(
    "second_order", [pytest.param(False, marks=pytest.mark.slow), True]
)
def test_two_replicas_give_the_step_of_one(second_order):
    # With an inner step so large that what the outer gradient passes through it counts.
    steps = {"rho_learning_rate": 2.0, "meta_step": 3.0} if second_order else {}
    settings = {"momentum": 0.0, "meta_second_order": second_order, **steps}
    found, logs = [], []
    for strategy in ("default", "mirrored"):
        trainer = trainer_of(strategy, domains=DOMAINS, **settings)
        before = weights_of(trainer)
        logs.append(train(trainer, 0, 1))
        moved = zip(weights_of(trainer), before, strict=True)
        found.append(np.concatenate([(a - b).ravel() for a, b in moved]))
    for tag in ("meta/scatter", "meta/shuffle", "meta/triplet", "meta/test"):
        np.testing.assert_allclose(logs[0][tag], logs[1][tag], rtol=1e-4)
    alone, shared = found
    assert np.linalg.norm(alone - shared) < 1e-3 * np.linalg.norm(alone)


def test_a_meta_update_that_is_not_finite_is_noticed():
    trainer = trainer_of(domains=DOMAINS)
    x = pixels(50, 12)
    x[3] = np.nan
    labels = np.array([0, 1, 2, 3] * 2, np.int32)
    base = tf.data.Dataset.from_tensors((pixels(0), labels))
    others = tf.data.Dataset.from_tensors((x, IDS))
    trainer.fit(tf.data.Dataset.zip((base, others)), verbose=0)
    step, terms = trainer.failure()
    assert step == 0 and set(terms) == {"the meta update"}


def test_mixtures_are_within_their_bounds_after_every_step():
    """With a rate that would take them far beyond."""
    trainer = trainer_of(domains=DOMAINS, rho_learning_rate=500.0)
    found = []
    for number in range(4):
        train(trainer, number, number + 1)
        found.append(rhos_of(trainer))
    found = np.stack(found)
    assert found.min() == 0
    assert found.max() == 1
    assert np.ptp(found, axis=0).max() == 1


def test_a_run_goes_on_to_the_bit(tmp_path):
    settings = {"optimizer": "adam", "meta_cycle_steps": 5}
    whole = goes_on_to_the_bit(train, tmp_path, domains=DOMAINS, **settings)
    assert rhos_of(whole).min() >= 0 and rhos_of(whole).max() <= 1


def test_the_clip_lets_gradients_pass():
    rho = tf.constant(0.98)
    with tf.GradientTape() as tape:
        tape.watch(rho)
        moved = meta._clipped(rho - 0.05 * tf.constant(-1.0))
    assert float(moved) == 1 and float(tape.gradient(moved, rho)) == 1


def test_the_inner_step_rises_and_falls():
    found = [float(meta.cycle(tf.constant(s), 10, 0.1)) for s in range(11)]
    np.testing.assert_allclose(found[0], 0.001, rtol=1e-4)
    np.testing.assert_allclose(found[5], 0.1, rtol=1e-6)
    np.testing.assert_allclose(found[10], 0.001, rtol=1e-4)
    np.testing.assert_allclose(found, found[::-1], rtol=1e-4)


def test_the_second_batch_has_the_domains_in_another_order_each_time(tmp_path):
    data = config(places(tmp_path), test_domains=("zoo",))
    train_images = datasets.load(data).train
    asked = TrainingConfig(meta=True, meta_classes=2, meta_images=2)
    sampler = samplers.of_meta(data, asked, train_images, 3)
    assert (sampler.batch_size, sampler.domains) == (12, 3)
    orders = set()
    for number in range(12):
        batch = sampler.batch(number).reshape(-1, 3)
        domains = train_images.domains[batch]
        assert (domains == domains[0]).all() and len(set(domains[0])) == 3
        orders.add(tuple(domains[0]))
    assert len(orders) > 3
    again = samplers.of_meta(data, asked, train_images, 3)
    np.testing.assert_array_equal(again.batch(7), sampler.batch(7))


def test_each_replicas_part_of_the_second_batch_has_the_domains_alike(tmp_path):
    """So that each splits them into meta-train and meta-test as one would."""
    data = config(places(tmp_path), test_domains=("zoo",))
    images = datasets.load(data).train
    asked = TrainingConfig(meta=True, meta_classes=2, meta_images=2)
    sampler = samplers.of_meta(data, asked, images, 3)
    loader = Loader(images, Preprocessing.of(data))
    for number in range(2):
        batch = sampler.batch(number)
        (first, *_) = images.domains[batch].reshape(-1, 3)
        for share in (Share(0, 1, 2), Share(1, 1, 2)):
            own = batch[share.slice(len(batch))]
            ((_, labels),) = training_batches(
                loader, sampler, 0, number, number + 1, share=share
            )
            np.testing.assert_array_equal(labels, images.labels[own])
            assert (images.domains[own].reshape(-1, 3) == first).all()


@pytest.mark.parametrize(
    ("flags", "domains", "says"),
    [
        ({}, ("zoo", "west"), r"needs 3 domains .* Received: 2"),
        ({"meta_train_domains": 4}, (), r"needs 5 domains .* Received: 4"),
        ({"meta_classes": 9}, (), r"--meta_classes must be at most .* Received: 9"),
    ],
)
def test_too_few_domains_are_refused(tmp_path, flags, domains, says):
    data = config(places(tmp_path), test_domains=domains)
    asked = TrainingConfig(meta=True, **flags)
    with pytest.raises(InputError, match=says):
        samplers.of_meta(data, asked, datasets.load(data).train, 0)


@pytest.mark.parametrize(
    ("model", "training", "says"),
    [
        ({}, {"meta": True}, "--normalization=batch_instance. Received: batch"),
        ({}, {"meta_images": 2}, "goes with --meta. Received: 2 without"),
        (
            {"normalization": "batch_instance", "precision": "float16"},
            {"meta": True},
            "Use bfloat16 or float32",
        ),
        ({}, {"rho_learning_rate": 0.1}, "goes with --normalization=batch_instance"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(model, training, says):
    with pytest.raises(InputError, match=says):
        RunFlags(ModelConfig(**model), training=TrainingConfig(**training))


def test_flags_without_a_use_are_refused():
    with pytest.raises(InputError, match="goes with --batches=domains or --meta"):
        RunFlags(data=DataConfig(domains_per_batch=5))
    margin = LossConfig(margin_hard=0.1)
    with pytest.raises(InputError, match="goes with --metric_loss=triplet_hard or"):
        RunFlags(loss=margin)
    meta_flags = TrainingConfig(meta=True)
    mixed = ModelConfig(normalization="batch_instance")
    assert RunFlags(mixed, loss=margin, training=meta_flags).loss.margin_hard == 0.1


def test_photos_without_domains_are_refused():
    data = DataConfig()
    with pytest.raises(InputError, match="--meta needs photos with domains"):
        samplers.of_meta(data, TrainingConfig(meta=True), datasets.load(data).train, 0)
