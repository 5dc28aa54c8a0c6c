"""A run that is killed and started again ends as one that was not."""

import random

import pytest

from benchmarks import crash


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
    flags = ("--steps=60", "--nopictures", f"--metric_loss={loss}")
    training = [*crash.TRAINING, *flags]
    whole, killed = str(tmp_path / "whole"), str(tmp_path / "killed")
    crash.finish(whole, training)
    moments = [crash.kill_once(killed, training, random.Random(n)) for n in kills]
    assert "while it wrote a checkpoint" in moments
    crash.finish(killed, training)
    tensors = crash.tensors(whole)
    assert len(tensors) > 100
    own = any(name.startswith("metric_loss/") for name in tensors)
    assert own == (loss != "contrastive")
    assert crash.differing(whole, killed) == []
    assert crash.metrics(whole) == crash.metrics(killed)
    assert crash.metrics(killed)[-1][0] == 60
