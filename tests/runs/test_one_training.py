"""One training at a time writes a run folder, and what it wrote belongs to it."""

import json
import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

import abe_tf
from abe_tf.errors import InputError
from tests.conftest import ROOT, SMALL

# As a signal that comes while the network is measured for the last time.
INTERRUPTED = """
import os, runpy, signal, sys
from abe_tf.session import validation
measure, calls = validation.Validation.__call__, []
def interrupted(self, asked):
    calls.append(1)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGINT)
    return measure(self, asked)
validation.Validation.__call__ = interrupted
sys.argv = ["train", *sys.argv[1:]]
runpy.run_module("abe_tf.train", run_name="__main__")
"""


def training(photos, workdir, *more):
    return [*SMALL, f"--data_dir={photos}", f"--workdir={workdir}", *more]


def test_a_second_training_is_refused_until_the_first_one_dies(
    photos, run_command, tmp_path
):
    flags = training(photos, tmp_path / "run", "--steps=60", "--log_every=1")
    first = subprocess.Popen(
        [sys.executable, "-u", "-m", "abe_tf.train", *flags],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for line in first.stdout:
            if line.startswith("step 1/60"):
                break
        second = run_command("abe_tf.train", *flags, check=False)
        assert second.returncode == 1
        (line,) = second.stderr.strip().splitlines()
        holder = f"process {first.pid} on {socket.gethostname()} is training"
        assert holder in line
        assert "choose another --workdir" in line
    finally:
        first.kill()
        first.wait()
    # At once, as whoever restarts it would.
    output = run_command("abe_tf.train", *flags).stdout
    assert "step 60/60" in output


def test_a_lock_leaves_nothing_where_nothing_was_begun(photos, run_command, tmp_path):
    flags = training(photos, tmp_path / "runs" / "run", "--images_per_class=6")
    assert run_command("abe_tf.train", *flags, check=False).returncode == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_interrupted_last_evaluation_is_made_up_for(photos, run_command, tmp_path):
    workdir = tmp_path / "run"
    flags = training(
        *(photos, workdir, "--train_classes=0:5", "--validation_classes=0.4"),
        *("--steps=4", "--eval_every=2", "--pictures"),
    )
    result = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 128 + signal.SIGINT, result.stderr
    assert "step 4: evaluation broken off" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("Stopped. The same command")
    assert measured_steps(workdir) == [2]
    output = run_command("abe_tf.train", *flags).stdout
    assert "Evaluating the last step, 4/4" in output
    assert measured_steps(workdir) == [2, 4]
    recalls = measured(workdir)
    best = max(recalls, key=lambda step: (recalls[step], step))
    kept = [path.name for path in (workdir / "best").glob("step-*")]
    assert kept == [f"step-{best}"]
    assert (workdir / "tensorboard" / "embeddings.tsv").exists()
    assert "Finished already" in run_command("abe_tf.train", *flags).stdout


def measured(workdir):
    """Recall of the validation classes by step."""
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    name = "validation/recall@1"
    return {line["step"]: line[name] for line in lines if name in line}


def measured_steps(workdir):
    return list(measured(workdir))


@pytest.fixture(scope="module")
def averaged(photos, run_command_once, tmp_path_factory):
    """The folder of a run that keeps averages of its weights."""
    folder = tmp_path_factory.mktemp("averaged")
    flags = training(photos, folder, "--steps=2", "--ema_momentum=0.5")
    run_command_once("abe_tf.train", *flags)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("freeze", ["--freeze_batch_norm", "--freeze_until=pool2"])
def test_averages_of_a_run_fill_one_that_trains_less(
    photos, averaged, run_command, tmp_path, freeze
):
    tuned = training(photos, tmp_path / "tuned", f"--init_from={averaged}")
    run_command("abe_tf.train", *tuned, "--steps=0", "--ema_momentum=0.5", freeze)
    ours, theirs = (
        {
            weight.name: weight.numpy()
            for weight in abe_tf.load(str(folder)).network.weights
        }
        for folder in (tmp_path / "tuned", averaged)
    )
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], name)


def test_a_checkpoint_of_another_run_is_refused(trained, run_command, tmp_path):
    workdir, _, _ = trained
    own = str(workdir / "checkpoints" / "step-6")
    assert abe_tf.load(str(workdir), own).checkpoint == "step-6"
    other = tmp_path / "checkpoints" / "step-6"
    other.mkdir(parents=True)
    with pytest.raises(InputError, match="does not lie in"):
        abe_tf.load(str(workdir), str(other))
    (tmp_path / "flags.cfg").write_text((workdir / "flags.cfg").read_text())
    results = sorted(os.listdir(workdir))
    for module, more in (
        ("abe_tf.evaluate", ()),
        ("export.saved_model", (f"--export_dir={tmp_path / 'models'}",)),
        ("abe_tf.report", (f"--workdir={tmp_path}", f"--report_dir={tmp_path}/r")),
    ):
        flags = [f"--workdir={workdir}", f"--checkpoint={other}", *more]
        result = run_command(module, *flags, check=False)
        assert result.returncode == 1
        (line,) = result.stderr.strip().splitlines()
        assert "of this run. Received:" in line
    assert sorted(os.listdir(workdir)) == results
