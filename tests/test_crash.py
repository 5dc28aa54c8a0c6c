"""A run that is killed and started again ends as one that was not."""

import random

import pytest

from benchmarks import crash


# The first comes while a checkpoint is written, the second between two.
@pytest.mark.parametrize("kills", [(1,), pytest.param((1, 0), marks=pytest.mark.slow)])
def test_kills_change_no_bit(kills, tmp_path):
    training = [*crash.TRAINING, "--steps=60", "--nopictures"]
    whole, killed = str(tmp_path / "whole"), str(tmp_path / "killed")
    crash.finish(whole, training)
    moments = [crash.kill_once(killed, training, random.Random(n)) for n in kills]
    assert "while it wrote a checkpoint" in moments
    crash.finish(killed, training)
    assert len(crash.tensors(whole)) > 100
    assert crash.differing(whole, killed) == []
    assert crash.metrics(whole) == crash.metrics(killed)
    assert crash.metrics(killed)[-1][0] == 60
