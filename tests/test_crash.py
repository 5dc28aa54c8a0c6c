"""A run that is killed and started again ends as one that was not."""

import random

import pytest

from benchmarks import crash
from tests.helpers.images import class_folders


# The first comes while a checkpoint is written, the second between two.
@pytest.mark.parametrize(
    ("kills", "loss"),
    [
        ((1,), "contrastive"),
        pytest.param((1, 0), "contrastive", marks=pytest.mark.slow),
        *(
            pytest.param((1,), name, marks=pytest.mark.slow)
            for name in ("margin", "proxy_nca", "proxy_anchor")
        ),
    ],
)
def test_kills_change_no_bit(kills, loss, tmp_path):
    tensors = killed_and_not(kills, tmp_path, f"--metric_loss={loss}")
    own = any(name.startswith("metric_loss/") for name in tensors)
    assert own == (loss != "contrastive")


@pytest.mark.slow
def test_kills_change_no_bit_of_mixtures(tmp_path):
    for domain in ("shop", "street", "studio"):
        class_folders(tmp_path / "places" / domain, "abcdefghijkl", 4, "png")
    # A margin that is seldom reached: nearly every step moves mixtures.
    meta = (
        "--meta",
        "--rho_learning_rate=1",
        "--meta_classes=2",
        "--meta_images=2",
        "--margin_hard=3",
    )
    # As it was published: of any length, with a classifier.
    meta += ("--metric_loss=triplet_hard", "--embedding_norm=free", "--norm_weight=0")
    meta += ("--classifier_weight=1", "--loss_optimizer=sgd")
    places = ("--dataset=image_folder", f"--data_dir={tmp_path / 'places'}")
    mixed = (*places, "--domains=folder", "--normalization=batch_instance", *meta)
    tensors = killed_and_not((1,), tmp_path, *mixed)
    rhos = [
        value
        for name, value in tensors.items()
        if "/rho/" in name and "VARIABLE_VALUE" in name and "OPTIMIZER" not in name
    ]
    assert len(rhos) > 5
    assert any("classifier" in name for name in tensors)
    assert min(rho.min() for rho in rhos) < 0.999
    assert all(rho.min() >= 0 and rho.max() <= 1 for rho in rhos)


def killed_and_not(kills, tmp_path, *flags):
    """Tensors of a training that ran through and, killed, came to the same."""
    training = [*crash.TRAINING, "--steps=60", "--nopictures", *flags]
    whole, killed = str(tmp_path / "whole"), str(tmp_path / "killed")
    crash.finish(whole, training)
    moments = [crash.kill_once(killed, training, random.Random(n)) for n in kills]
    assert "while it wrote a checkpoint" in moments
    crash.finish(killed, training)
    tensors = crash.tensors(whole)
    assert len(tensors) > 100
    assert crash.differing(whole, killed) == []
    assert crash.metrics(whole) == crash.metrics(killed)
    assert crash.metrics(killed)[-1][0] == 60
    return tensors
