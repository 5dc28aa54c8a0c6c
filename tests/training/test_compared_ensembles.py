"""HDC, BIER and A-BIER train as every ensemble: on any replicas, to the bit."""

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.errors import InputError
from abe_tf.runs.flags import RunFlags
from abe_tf.session.building import build_trainer
from abe_tf.training import strategies
from abe_tf.training.checkpoints import Checkpoints

SIZE = 32
APART = {"adversarial_weight": 0.1, "adversarial_norm_weight": 10.0}
KINDS = {
    "hdc": {},
    "a_bier": APART,
    "activation": {**APART, "adversarial_form": "activation"},
}


def trainer_of(kind, strategy="default", optimizer="sgd"):
    tf.keras.utils.set_random_seed(2)
    ensemble = "hdc" if kind == "hdc" else "bier"
    model = ModelConfig(
        ensemble=ensemble, num_learners=3, embedding_dim=24, freeze_batch_norm=True
    )
    training = TrainingConfig(
        seed=7, optimizer=optimizer, momentum=0.0, learning_rate=0.05
    )
    flags = RunFlags(model, loss=LossConfig(**KINDS[kind]), training=training)
    flags = flags.changed({"image_size": SIZE})
    assert flags.loss.metric_loss == ensemble
    made = strategies.create(strategy)
    with made.scope():
        return build_trainer(flags, (0, 1, 2, 3), made, None, False)


def pixels(seed):
    drawn = np.random.default_rng(seed).integers(0, 256, [8, SIZE, SIZE, 3])
    return drawn.astype(np.uint8)


def train(trainer, first, end):
    labels = np.array([0, 1, 2, 3] * 2, np.int32)
    for number in range(first, end):
        data = tf.data.Dataset.from_tensors((pixels(number), labels))
        logs = trainer.fit(data.unbatch().batch(8), verbose=0).history
    return logs


def state(trainer):
    own = trainer.state_of_loss().get("metric_loss")
    values = [*trainer.network.weights, *(own.trainable_variables if own else [])]
    return [tf.convert_to_tensor(value).numpy() for value in values]


@pytest.mark.parametrize(
    "kind", [pytest.param("hdc", marks=pytest.mark.slow), "a_bier"]
)
def test_two_replicas_give_the_step_of_one(kind):
    """HDC's dropout too; behind a second step kinks tell the last bits apart."""
    found, totals = [], []
    for strategy in ("default", "mirrored"):
        trainer = trainer_of(kind, strategy)
        before = state(trainer)
        totals += train(trainer, 0, 1)["loss/total"]
        after = state(trainer)
        moved = [(b - a).ravel() for a, b in zip(after, before, strict=True)]
        found.append(np.concatenate(moved))
    alone, shared = found
    assert np.linalg.norm(alone) > 0
    assert np.linalg.norm(alone - shared) < 1e-4 * np.linalg.norm(alone)
    assert totals[0] == pytest.approx(totals[1], rel=1e-5)


@pytest.mark.parametrize(
    "kind", [pytest.param("hdc", marks=pytest.mark.slow), "a_bier"]
)
def test_a_run_goes_on_to_the_bit(kind, tmp_path):
    def opened(trainer):
        folders = str(tmp_path / "last"), str(tmp_path / "best")
        return Checkpoints(trainer, *folders, 2, print, class_names=list("abcd"))

    whole, first, second = (trainer_of(kind, optimizer="adam") for _ in range(3))
    train(whole, 0, 4)
    train(first, 0, 2)
    opened(first).save()
    assert opened(second).restore() == 2
    train(second, 2, 4)
    for one, other in zip(state(whole), state(second), strict=True):
        np.testing.assert_array_equal(one, other)


def test_regressors_train_and_are_told_apart():
    trainer = trainer_of("a_bier")
    before = state(trainer)
    logs = train(trainer, 0, 1)
    regressors = trainer.state_of_loss()["metric_loss"].trainable_variables
    # Two matrices and two biases for each of three pairs.
    assert len(regressors) == 12
    assert logs["gradient_norm/loss"][0] > 0
    rates = trainer.learning_rates()
    assert rates["loss"] == rates["encoder"]
    moved = [np.abs(a - b).max() for a, b in zip(before, state(trainer), strict=True)]
    assert min(moved[-12:]) > 0
    total = logs["loss/metric"][0] + logs["loss/divergence"][0]
    np.testing.assert_allclose(
        logs["loss/total"][0], total + logs["loss/of_network"][0], rtol=1e-5
    )


def test_the_activation_form_has_no_variables():
    trainer = trainer_of("activation")
    assert trainer.state_of_loss() == {}
    assert train(trainer, 0, 1)["loss/of_network"][0] > 0


def test_dropout_draws_anew_at_every_step():
    trainer = trainer_of("hdc")
    first, again = (trainer.network(pixels(0), training=True) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    trainer.step.assign_add(1)
    assert np.any(trainer.network(pixels(0), training=True).numpy() != first.numpy())


@pytest.mark.parametrize(
    ("model", "loss", "training", "says"),
    [
        ({}, {"metric_loss": "bier", "adversarial_weight": 1.0}, {}, "ensemble=bier"),
        ({}, {"adversarial_weight": 1.0}, {}, "goes with --metric_loss=bier"),
        ({"ensemble": "hdc"}, {"bier_negative_cost": 2.0}, {}, "metric_loss=bier"),
        ({"ensemble": "hdc"}, {}, {"jit": "on"}, "does not go with --jit=on"),
        ({"ensemble": "bier"}, {}, {"loss_learning_rate": 0.1}, "adversarial_form="),
        ({"ensemble": "bier"}, {"adversarial_form": "activation"}, {}, "above 0"),
        ({"ensemble": "bier"}, {"adversarial_norm_weight": 3.0}, {}, "above 0"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(model, loss, training, says):
    with pytest.raises(InputError, match=says):
        RunFlags(
            ModelConfig(**model),
            loss=LossConfig(**loss),
            training=TrainingConfig(**training),
        )


def test_the_loss_follows_the_ensemble_unless_it_is_named():
    def named(ensemble, **loss):
        flags = RunFlags(ModelConfig(ensemble=ensemble), loss=LossConfig(**loss))
        return flags.loss.metric_loss

    assert named("hdc", hdc_ratios=(1.0, 0.1)) == "hdc"
    assert named("bier") == "bier"
    assert named("abe") == named("heads") == "contrastive"
    assert named("bier", metric_loss="margin") == "margin"
    # Whoever varies the ensemble has not named its loss.
    abe = RunFlags()
    assert abe.changed({"ensemble": "hdc"}).loss.metric_loss == "hdc"
    bier = abe.changed({"ensemble": "bier"})
    assert bier.changed({"ensemble": "heads"}).loss.metric_loss == "contrastive"
    named_here = {"ensemble": "hdc", "metric_loss": "margin"}
    assert abe.changed(named_here).loss.metric_loss == "margin"
    kept = abe.changed({"metric_loss": "margin"}).changed({"ensemble": "hdc"})
    assert kept.loss.metric_loss == "margin"
