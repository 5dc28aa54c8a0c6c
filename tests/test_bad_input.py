"""A mistake of the user's gives one line, exit status 1, and leaves nothing behind."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import ROOT, SMALL

# Runs a command line, then tells whether TensorFlow was imported.
PROBE = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    print("tensorflow" in sys.modules)
"""


def one_line(stderr):
    lines = stderr.strip().splitlines()
    assert len(lines) == 1, stderr
    assert "Traceback" not in stderr
    return lines[0]


@pytest.mark.parametrize(
    ("module", "flags", "message"),
    [
        ("abe_tf.train", [], "--workdir must be given"),
        ("abe_tf.train", ["--no_such_flag=1"], "Unknown command line flag"),
        (
            "abe_tf.evaluate",
            ["--workdir=W", f"--embeddings={__file__}"],
            "instead of a run. Received: --workdir=W too. Leave one out.",
        ),
        ("abe_tf.train", ["photos"], "Every argument must be a --flag"),
        ("abe_tf.train", ["--flagfile=missing.cfg"], "missing.cfg"),
        ("abe_tf.train", ["--steps=many"], "--steps=many"),
        ("abe_tf.train", ["--workdir=W", "--encoder=vgg"], "must be one of googlenet"),
        (
            "abe_tf.train",
            ["--workdir=W", "--embedding_dim=100", "--num_learners=3"],
            "must be a multiple of --num_learners. Received: 100 and 3. Use 99 or 102.",
        ),
        (
            "abe_tf.train",
            ["--workdir=W", "--dataset=image_folder", "--data_dir=/no/such"],
            "--data_dir must be an existing folder",
        ),
        (
            "abe_tf.train",
            ["--workdir=W", "--dataset=image_folder"],
            "needs --data_dir",
        ),
        (
            "abe_tf.train",
            ["--workdir=W", "--encoder=mobilenet", "--encoder_weights=no.h5"],
            "'no.h5', which does not exist",
        ),
        ("abe_tf.train", ["--workdir=W", "--init_from=/no/such"], "--init_from must"),
        (
            "abe_tf.train",
            ["--workdir=W", "--encoder=googlenet", "--image_size=16"],
            "must be at least 32 for --encoder=googlenet",
        ),
        (
            "abe_tf.train",
            ["--workdir=W", "--max_images_per_class=2", "--images_per_class=4"],
            "at most --max_images_per_class",
        ),
        (
            "abe_tf.train",
            ["--workdir=W", "--train_classes=0:9", "--classes_per_batch=16"],
            "more classes than --train_classes names. Received: 16 and 0:9",
        ),
        ("abe_tf.train", ["--workdir=W", "--train_classes=²:5"], "FIRST < END"),
        (
            "abe_tf.train",
            ["--workdir=W", "--dataset=cars196", "--train_classes=0:50"],
            "no meaning for --dataset=cars196",
        ),
        (
            "abe_tf.train",
            ["--workdir=W", "--cropped"],
            "no meaning for --dataset=digits",
        ),
        (
            "abe_tf.train",
            ["--workdir=W", "--dataset=in_shop", "--manual_dir=/no/such"],
            "--manual_dir must be an existing folder",
        ),
        (
            "abe_tf.train",
            ["--workdir=W", "--dataset=image_folder", "--image_list=no.csv"],
            "--image_list must be an existing CSV file",
        ),
        (
            "abe_tf.train",
            ["--workdir=W", "--optimizer=lamb", "--ema_momentum=0.9"],
            "--ema_momentum goes with Keras' optimizers",
        ),
        ("abe_tf.train", ["--workdir=W", "--optimizer=adamw"], "needs --weight_decay"),
        (
            "abe_tf.train",
            ["--workdir=W", "--optimizer=sgd", "--optimizer_epsilon=1"],
            "--optimizer_epsilon goes with --optimizer=adam|adamw|rmsprop",
        ),
        (
            "abe_tf.train",
            ["--workdir=W", "--jit=on", "--deterministic"],
            "does not go with --deterministic",
        ),
        (
            "abe_tf.train",
            ["--workdir=W", "--profile_steps=20:10"],
            "must be FIRST:END with 0 <= FIRST < END. Received: '20:10'",
        ),
        ("abe_tf.train", ["--workdir=W", "--steps=99999999999999999999"], "at most"),
        ("abe_tf.train", ["--workdir=/proc/W"], "must be a folder that can be written"),
        ("abe_tf.train", ["--workdir=W[1]"], "TensorFlow takes them for a pattern"),
        (
            "abe_tf.train",
            ["--workdir=" + os.fsdecode(b"W\xff")],
            "--workdir must be UTF-8: TensorFlow writes to no other place.",
        ),
        (
            "abe_tf.train",
            ["--workdir=a\\b/W"],
            r"Received: 'a\\b/W'. Rename the folder",
        ),
        ("abe_tf.evaluate", [], "--workdir must name the run folder"),
        ("abe_tf.evaluate", ["--workdir=/no/such"], "which does not exist"),
        (
            "abe_tf.evaluate",
            ["--embeddings=E.npz", "--compare_checkpoints"],
            "--compare_checkpoints needs a run",
        ),
        ("export.saved_model", ["--workdir=/no/such"], "which does not exist"),
        ("export.saved_model", ["--workdir=.", "--export_dir=M"], "without flags.cfg"),
        ("export.saved_model", ["--workdir=."], "--export_dir must name"),
        (
            "export.saved_model",
            ["--workdir=.", "--export_dir=/proc/M"],
            "--export_dir must be a folder that can be written",
        ),
        (
            "export.saved_model",
            ["--workdir=.", "--export_dir=M/[a]"],
            "--export_dir must be without backslashes",
        ),
        ("abe_tf.summary", ["--steps=3"], "Unknown command line flag"),
    ],
)
def test_what_flags_and_paths_show_fails_before_tensorflow_is_imported(
    module, flags, message, tmp_path
):
    result = subprocess.run(
        [sys.executable, "-c", PROBE, module, *flags],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 1
    assert message in one_line(result.stderr)
    assert result.stdout.strip() == "False"
    assert os.listdir(tmp_path) == []


def test_a_command_is_called_by_its_own_name_in_what_it_says(run_command):
    result = run_command("abe_tf.data", "--no_such_flag=1", check=False)
    assert one_line(result.stderr).startswith("data: ")


def four_classes(folder):
    for name, count in (("a", 4), ("b", 4), ("c", 4), ("d", 2)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            png = tf.io.encode_png(np.zeros([8, 8, 3], np.uint8)).numpy()
            (folder / name / f"{number}.png").write_bytes(png)
    return folder


def other_network(path):
    tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=[1])]).save_weights(path)
    return path


def test_k_larger_than_a_class(run_command, photos, tmp_path):
    workdir = tmp_path / "run"
    flags = [*SMALL, f"--data_dir={photos}", f"--workdir={workdir}"]
    result = run_command("abe_tf.train", *flags, "--images_per_class=6", check=False)
    assert result.returncode == 1
    assert "Received: 6; class class_0 has 5." in one_line(result.stderr)
    assert not workdir.exists()


def test_weights_of_another_network(run_command, photos, tmp_path):
    path, workdir = other_network(str(tmp_path / "other.h5")), tmp_path / "run"
    flags = [*SMALL, f"--data_dir={photos}", f"--workdir={workdir}"]
    flags += ["--encoder=mobilenet", f"--encoder_weights={path}"]
    result = run_command("abe_tf.train", *flags, check=False)
    assert result.returncode == 1
    assert "must be a file of this encoder" in one_line(result.stderr)
    assert not workdir.exists()


def test_an_export_without_a_checkpoint(trained, run_command, tmp_path):
    workdir, models = tmp_path / "run", tmp_path / "models"
    shutil.copytree(
        trained[0], workdir, ignore=shutil.ignore_patterns("checkpoints", "best")
    )
    result = run_command(
        "export.saved_model",
        f"--workdir={workdir}",
        f"--export_dir={models}",
        check=False,
    )
    assert result.returncode == 1
    assert "--workdir must hold a checkpoint" in one_line(result.stderr)
    assert not models.exists()


def test_a_photo_that_cannot_be_read_is_named(run_command, tmp_path):
    folder = four_classes(tmp_path / "photos")
    workdir = tmp_path / "run"
    flags = [*SMALL, f"--data_dir={folder}", f"--workdir={workdir}", "--steps=1"]
    flags += ["--classes_per_batch=2"]
    whole = (folder / "d" / "1.png").read_bytes()
    (folder / "d" / "1.png").write_text("no image")
    # A test photo, which training never loads: before the first step all the same.
    result = run_command("abe_tf.train", *flags, check=False)
    assert result.returncode == 1
    assert "d/1.png" in one_line(result.stderr)
    assert not workdir.exists()
    # Only decoding shows this one, which training does if it is asked to.
    (folder / "d" / "1.png").write_bytes(whole[:40] + bytes(8) + whole[48:])
    result = run_command("abe_tf.train", *flags, "--check=decode", check=False)
    assert result.returncode == 1
    assert "d/1.png" in one_line(result.stderr)
    assert not workdir.exists()


@pytest.mark.slow
def test_a_photo_that_breaks_behind_the_training_is_named(run_command, tmp_path):
    folder = four_classes(tmp_path / "photos")
    workdir = tmp_path / "run"
    flags = [*SMALL, f"--data_dir={folder}", f"--workdir={workdir}", "--steps=1"]
    run_command("abe_tf.train", *flags, "--classes_per_batch=2")
    whole = (folder / "d" / "1.png").read_bytes()
    (folder / "d" / "1.png").write_bytes(whole[:40] + bytes(8) + whole[48:])
    result = run_command("abe_tf.evaluate", f"--workdir={workdir}", check=False)
    assert result.returncode == 1
    # All photos are black, which is said before.
    twins, broken = result.stderr.strip().splitlines()
    assert "The same photo, by its content, is in training and test" in twins
    assert "d/1.png" in one_line(broken)
    assert not (workdir / "results.json").exists()


def test_other_flags_than_the_run_was_started_with(trained, run_command):
    workdir, flags, _ = trained
    before = (workdir / "flags.cfg").read_text()
    result = run_command("abe_tf.train", *flags, "--lambda_div=0.5", check=False)
    assert result.returncode == 1
    assert (workdir / "flags.cfg").read_text() == before
    line = one_line(result.stderr)
    assert "Received: --lambda_div=0.5 (was 1.0)." in line


def test_a_torn_checkpoint(trained, run_command, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(trained[0], workdir)
    flags = [*trained[1], f"--workdir={workdir}"]
    files = list(workdir.glob("*/step-*/*.data*"))
    assert len(files) > 2
    for data in files:
        data.write_bytes(data.read_bytes()[:1000])
    moved = tmp_path / "run [1]"
    shutil.copytree(workdir, moved)
    result = run_command("abe_tf.evaluate", f"--workdir={moved}", check=False)
    assert result.returncode == 1
    assert "TensorFlow takes them for a pattern" in one_line(result.stderr)
    for command in ("abe_tf.train", "abe_tf.evaluate"):
        given = flags if command == "abe_tf.train" else [f"--workdir={workdir}"]
        result = run_command(command, *given, check=False)
        assert result.returncode == 1
        assert "must be readable" in one_line(result.stderr)
    assert json.loads((workdir / "run.json").read_text())["versions"]["tensorflow"]
