"""Checkpoints: whole or not there, the last good one wins, nothing is lost silently."""

import os
import resource
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.errors import InputError
from abe_tf.storage import checkpoints
from abe_tf.storage.locks import LOCK
from abe_tf.storage.restoring import restore, restore_newest
from abe_tf.training import optimizers
from abe_tf.training.checkpoints import Checkpoints
from abe_tf.training.trainer import EnsembleTrainer
from tests.conftest import ROOT


def small_trainer(size=2, **flags):
    pixels = tf.keras.Input([2])
    encoder = tf.keras.layers.Dense(size, name="encoder")
    linear = tf.keras.layers.Dense(2, name="linear")
    network = tf.keras.Model(pixels, linear(encoder(pixels)))
    trainer = EnsembleTrainer(network, linear.trainable_variables, LossConfig())
    trainer.compile(optimizers.create(TrainingConfig(**flags)))
    return trainer


class Folder:
    """Checkpoints of one run, opened anew as often as a run is started."""

    def __init__(self, path):
        self.last, self.best = str(path / "last"), str(path / "best")
        self.said = []

    def open(self, trainer, keep=2):
        return Checkpoints(trainer, self.last, self.best, keep, self.said.append)

    def kept(self, folder=None):
        return checkpoints.steps(folder or self.last)


def save_at(checkpoints, trainer, step):
    """Saves weights that tell the step."""
    trainer.step.assign(step)
    for weight in trainer.network.weights:
        weight.assign(tf.fill(weight.shape, float(step)))
    return checkpoints.save()


@pytest.mark.parametrize("keep", [1, 3])
def test_so_many_are_kept_and_the_last_comes_back(tmp_path, keep):
    folder, trainer = Folder(tmp_path), small_trainer()
    checkpoints = folder.open(trainer, keep)
    for step in range(5):
        save_at(checkpoints, trainer, step)
    assert folder.kept() == list(range(5))[-keep:]
    other = small_trainer()
    assert folder.open(other).restore() == 4
    assert all((weight.numpy() == 4).all() for weight in other.network.weights)


def tear(folder, step):
    path = checkpoints.prefix(checkpoints.path(folder, step))
    with open(f"{path}.data-00000-of-00001", "r+b") as file:
        file.truncate(20)


def flip_a_bit(folder, step):
    path = checkpoints.prefix(checkpoints.path(folder, step))
    with open(f"{path}.data-00000-of-00001", "r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))


@pytest.mark.parametrize("damage", [tear, flip_a_bit])
def test_a_damaged_one_falls_back_to_the_one_before(tmp_path, damage):
    folder, trainer = Folder(tmp_path), small_trainer()
    checkpoints = folder.open(trainer)
    for step in (3, 6):
        save_at(checkpoints, trainer, step)
    damage(folder.last, 6)
    other = small_trainer()
    again = folder.open(other)
    assert again.restore() == 3
    assert all((weight.numpy() == 3).all() for weight in other.network.weights)
    assert "TORN CHECKPOINT" in folder.said[0]
    assert "step-6" in folder.said[0]
    # Trained again, the damaged one gives way to a good one.
    save_at(again, other, 6)
    assert folder.open(small_trainer()).restore() == 6


def test_none_that_can_be_read_is_no_fresh_start(tmp_path):
    folder, trainer = Folder(tmp_path), small_trainer()
    save_at(folder.open(trainer), trainer, 3)
    tear(folder.last, 3)
    with pytest.raises(InputError, match="must be readable"):
        folder.open(small_trainer()).restore()


def test_a_full_disk_keeps_the_last_good_one_and_says_so(tmp_path):
    """The limit on a file's size stands in for the disk: the same calls fail."""
    folder, trainer = Folder(tmp_path), small_trainer(size=20_000)
    checkpoints = folder.open(trainer)
    save_at(checkpoints, trainer, 3)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        assert save_at(checkpoints, trainer, 6) is None
        trainer.step.assign(7)
        assert not checkpoints.save_if_best(50.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert folder.kept() == [3]
    assert "step 6: NO CHECKPOINT" in folder.said[0]
    assert "The last good one is step 3's" in folder.said[0]
    assert sorted(os.listdir(folder.last)) == [LOCK, "step-3"]
    assert os.listdir(folder.best) == [LOCK]
    # With room again, both are written.
    assert save_at(checkpoints, trainer, 8)
    assert checkpoints.save_if_best(50.0)


def test_what_a_killed_process_left_is_cleared(tmp_path):
    folder, trainer = Folder(tmp_path), small_trainer()
    save_at(folder.open(trainer), trainer, 3)
    left = tmp_path / "last" / "incomplete-6-1"
    left.mkdir()
    (left / "weights.data-00000-of-00001").write_bytes(b"half")
    assert folder.open(small_trainer()).restore() == 3
    assert not left.exists()


# Saves thirty checkpoints; as in two pods, every such process has the id 1.
WRITER = """
import os, sys
os.getpid = lambda: 1
from tests.training.test_checkpoints import Folder, save_at, small_trainer
import pathlib
folder, trainer = Folder(pathlib.Path(sys.argv[1])), small_trainer()
checkpoints = folder.open(trainer, keep=100)
print("ready", flush=True)
sys.stdin.readline()
for step in range(30):
    assert save_at(checkpoints, trainer, step), folder.said
    assert checkpoints.save_if_best(float(step))
"""


def test_two_processes_with_one_id_write_beside_each_other(tmp_path):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    assert [writer.wait() for writer in writers] == [0, 0]
    folder = Folder(tmp_path)
    assert folder.kept() == list(range(30))
    assert sorted(os.listdir(folder.last))[1:] == sorted(f"step-{n}" for n in range(30))
    for step in range(30):
        trainer = small_trainer()
        path = checkpoints.path(folder.last, step)
        restore(tf.train.Checkpoint(network=trainer.network), path)
        assert all((weight.numpy() == step).all() for weight in trainer.network.weights)


def test_a_torn_file_and_another_network_are_two_messages(tmp_path):
    folder, trainer = Folder(tmp_path), small_trainer()
    save_at(folder.open(trainer), trainer, 3)
    path = checkpoints.path(folder.last, 3)
    other = tf.train.Checkpoint(network=small_trainer(size=3).network)
    with pytest.raises(InputError, match=r"network in its run's flags.cfg.*step-3"):
        restore(other, path)
    tear(folder.last, 3)
    with pytest.raises(InputError, match=r"must be readable.*step-3"):
        restore(other, path)


def test_what_no_file_is_to_blame_for_takes_no_older_checkpoint(tmp_path, monkeypatch):
    folder, trainer = Folder(tmp_path), small_trainer()
    opened = folder.open(trainer)
    for step in (3, 4):
        save_at(opened, trainer, step)

    def no_memory(*args, **kwargs):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")

    monkeypatch.setattr(tf.train.Checkpoint, "read", no_memory)
    said = []
    other = tf.train.Checkpoint(network=small_trainer().network)
    with pytest.raises(tf.errors.ResourceExhaustedError):
        restore_newest(other, folder.last, said.append)
    assert not said


def test_the_best_is_the_later_of_the_highest(tmp_path):
    folder, trainer = Folder(tmp_path), small_trainer()
    checkpoints = folder.open(trainer)
    for step, recall, best in ((1, 50.0, True), (2, 40.0, False), (3, 50.0, True)):
        trainer.step.assign(step)
        assert checkpoints.save_if_best(recall) == best
    assert folder.kept(folder.best) == [3]
    # It is remembered with the last one.
    save_at(checkpoints, trainer, 4)
    other = small_trainer()
    again = folder.open(other)
    again.restore()
    assert not again.save_if_best(49.0)


def one_step(trainer):
    with tf.GradientTape() as tape:
        loss = tf.add_n([tf.reduce_sum(w) for w in trainer.network.trainable_variables])
    trainer._apply(tape, loss)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "lamb"])
def test_slots_and_averages_come_back(tmp_path, optimizer):
    averaging = {} if optimizer == "lamb" else {"ema_momentum": 0.9}
    flags = {"optimizer": optimizer, "steps": 10, **averaging}
    folder, trainer = Folder(tmp_path), small_trainer(**flags)
    one_step(trainer)
    folder.open(trainer).save()
    other = small_trainer(**flags)
    folder.open(other).restore()
    for one in (trainer, other):
        one_step(one)
    ours, theirs = (
        [w.numpy() for w in [*one.network.weights, *(one.averages() or [])]]
        for one in (trainer, other)
    )
    assert all(map(np.array_equal, ours, theirs))
