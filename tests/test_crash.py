"""A run that is killed and started again ends as one that was not."""

import random

from benchmarks import crash


def test_two_kills_change_no_bit(tmp_path):
    training = [*crash.TRAINING, "--steps=60", "--nopictures"]
    whole, killed = str(tmp_path / "whole"), str(tmp_path / "killed")
    crash.finish(whole, training)
    # The first comes while a checkpoint is written, the second between two.
    moments = [crash.kill_once(killed, training, random.Random(n)) for n in (1, 0)]
    assert "while it wrote a checkpoint" in moments
    crash.finish(killed, training)
    assert len(crash.tensors(whole)) > 100
    assert crash.differing(whole, killed) == []
    assert crash.metrics(whole) == crash.metrics(killed)
    assert crash.metrics(killed)[-1][0] == 60
