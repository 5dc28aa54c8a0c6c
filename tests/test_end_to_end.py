"""The commands of the README on small photos, in a temporary folder."""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import requests
import tensorflow as tf

import abe_tf
from abe_tf.storage.locks import LOCK
from tests.conftest import ROOT, SMALL, black_png
from tests.helpers.served import Served


def test_training_shows_progress_and_time_left(trained):
    _, _, output = trained
    assert "train: 15 images of 3 classes" in output
    assert "validation: 10 images of 2 classes" in output
    assert "step 4/6" in output
    assert "images/s" in output
    assert "left" in output


def test_evaluation_prints_the_table_and_writes_it(trained, run_command):
    workdir, _, _ = trained
    output = run_command("abe_tf.evaluate", f"--workdir={workdir}").stdout
    found = json.loads((workdir / "results.json").read_text())
    assert found["format"] == 2
    (step,) = (path.name for path in (workdir / "best").glob("step-*"))
    results = found["results"][f"test/{step}"]
    assert results["num_queries"] == 15
    assert results["dataset"] == "image_folder"
    assert len(results["learners"]) == 2
    assert f"{results['ensemble']['recall@1']:.1f}" in output
    assert f"{results['self_pair_cosine']:.3f}" in output


def test_one_photo_has_one_embedding_everywhere(
    trained, exported, run_command, photos, tmp_path
):
    workdir, _, _ = trained
    models, output = exported
    published, docker = output.strip().splitlines()
    assert published.endswith(str(models / "1"))
    assert docker.startswith("docker run ")
    assert sorted(path.name for path in models.iterdir()) == [
        *(LOCK, "1", "batching.config", "models.config", "monitoring.config"),
    ]
    paths = sorted(map(str, photos.glob("class_7/*")))
    embedded = abe_tf.load(str(workdir)).embed(paths).reshape(5, 16)
    (tmp_path / "broken.jpg").write_text("no image")
    server = Served(models)
    try:
        result = run_command(
            *("export.client", f"--url={server.url}", "--label=stable"),
            *(f"--npy={tmp_path / 'answers.npz'}", tmp_path / "broken.jpg", *paths),
            check=False,
        )
        files = [{"b64": encoded(path)} for path in paths]
        answers = [predict(server, name, files) for name in ("", "learners")]
        preprocess = abe_tf.load(str(workdir)).preprocessing.for_evaluation
        pixels = [preprocess(tf.io.read_file(path)).numpy().tolist() for path in paths]
        answers.append(predict(server, "pixels", pixels))
        bomb = {"b64": base64.b64encode(black_png(23_000)).decode()}
        refused = predict(server, "", [bomb])
        memory = server.memory()
    finally:
        server.stop()
    for answer in answers:
        found = np.reshape(answer.json()["predictions"], embedded.shape)
        np.testing.assert_allclose(found, embedded, atol=1e-4)
    assert refused.status_code == 400
    assert "1 to 120000000 pixels" in refused.json()["error"]
    assert memory < 1000
    # The broken file costs only itself.
    assert result.returncode == 1
    assert f"refused: {tmp_path / 'broken.jpg'}: assertion failed" in result.stderr
    with np.load(tmp_path / "answers.npz") as found:
        assert found["ids"].tolist() == paths
        np.testing.assert_allclose(found["answers"], embedded, atol=1e-4)


def predict(server, signature, instances):
    body = {"signature_name": signature, "instances": instances}
    return requests.post(f"{server.url}:predict", json=body, timeout=60)


def encoded(path):
    with open(path, "rb") as file:
        return base64.b64encode(file.read()).decode()


def test_the_same_command_again_says_that_it_is_finished(trained, run_command):
    """And leaves the record as it was."""
    workdir, flags, _ = trained
    record = workdir / "run.json"
    before = record.read_text()
    record.write_text(before.replace("git_revision", "as_it_was"))
    output = run_command("abe_tf.train", *flags).stdout
    assert "Finished already: step 6/6" in output
    assert "as_it_was" in record.read_text()
    record.write_text(before)


@pytest.mark.slow
def test_replicas_report_evaluate_and_save(trained, run_command, tmp_path):
    """Also on one device, where the strategy mirrors its variables nevertheless."""
    _, flags, alone = trained
    workdir = tmp_path / "mirrored"
    output = run_command(
        "abe_tf.train", *flags, f"--workdir={workdir}", "--strategy=mirrored"
    ).stdout
    lines = [line.split("  ")[:2] for line in output.splitlines() if "total" in line]
    assert lines == [x.split("  ")[:2] for x in alone.splitlines() if "total" in x]
    assert len(lines) == 3
    run_command("abe_tf.evaluate", f"--workdir={workdir}")


def test_other_classes_than_the_runs_are_refused(run_command, photos, tmp_path):
    data = shutil.copytree(photos, tmp_path / "photos")
    workdir = tmp_path / "run"
    flags = [*SMALL, f"--data_dir={data}", f"--workdir={workdir}"]
    run_command("abe_tf.train", *flags, "--steps=0")
    shutil.copytree(data / "class_0", data / "a_new_class")
    for module, given in (
        ("abe_tf.evaluate", [f"--workdir={workdir}"]),
        ("abe_tf.train", [*flags, "--steps=0"]),
    ):
        result = run_command(module, *given, check=False)
        assert result.returncode == 1
        assert "9 classes instead of 8; the first that differs: a_new" in result.stderr


def test_a_diverged_run_stops_and_keeps_its_checkpoints(photos, run_command, tmp_path):
    flags = [*SMALL, f"--data_dir={photos}", f"--workdir={tmp_path / 'run'}"]
    sgd = ["--optimizer=sgd", "--learning_rate=1e30", "--steps=6"]
    result = run_command("abe_tf.train", *flags, *sgd, check=False)
    assert result.returncode == 3
    (line,) = result.stderr.splitlines()
    assert "the metric loss was nan" in line or "the gradient's norm was" in line
    assert re.search(r"at step \d\. .*class_\d/\d\.(jpg|png)", line)
    assert [p.name for p in tmp_path.glob("run/checkpoints/step-*")] == ["step-0"]


def test_training_starts_from_another_runs_weights(trained, run_command, tmp_path):
    workdir, flags, _ = trained
    new = [*flags, f"--workdir={tmp_path / 'new'}", f"--init_from={workdir}"]
    # What is averaged starts from them too.
    run_command("abe_tf.train", *new, "--steps=0", "--ema_momentum=0.9")
    ours, theirs = (
        abe_tf.load(str(folder)).network.get_weights()
        for folder in (tmp_path / "new", workdir)
    )
    assert all(map(np.array_equal, ours, theirs))
    other = [*new, f"--workdir={tmp_path / 'other'}", "--num_learners=1"]
    result = run_command("abe_tf.train", *other, check=False)
    assert result.returncode == 1
    assert "--num_learners=1 (there 2)" in result.stderr


@pytest.fixture(scope="module")
def undisturbed(photos, run_command_once, tmp_path_factory):
    """A run of 40 steps that nothing interrupts: its folder and its flags."""
    flags = [
        *(*SMALL, f"--data_dir={photos}", "--steps=40", "--log_every=1"),
        *("--deterministic", "--checkpoint_every=1000"),
    ]
    whole = tmp_path_factory.mktemp("undisturbed") / "whole"
    run_command_once("abe_tf.train", *flags, f"--workdir={whole}")
    return whole, flags


@pytest.mark.parametrize(
    ("number", "status"),
    [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 0)],
)
def test_an_interrupted_run_goes_on_and_ends_as_an_undisturbed_one(
    undisturbed, run_command, tmp_path, number, status
):
    whole, flags = undisturbed
    stopped = tmp_path / "stopped"
    command = [sys.executable, "-u", "-m", "abe_tf.train", *flags]
    process = subprocess.Popen(
        [*command, f"--workdir={stopped}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("step 3/40"):
            process.send_signal(number)
    assert process.wait() == status, "".join(lines)
    assert "The same command goes on from here." in lines[-1]
    output = run_command("abe_tf.train", *flags, f"--workdir={stopped}").stdout
    (announced,) = [x for x in output.splitlines() if x.startswith("Going on")]
    step = int(announced.split("step ")[1].split("/")[0])
    assert 3 <= step < 40
    assert f"step {step + 1}/40" in output
    ours, theirs = (
        abe_tf.load(str(folder)).network.get_weights() for folder in (stopped, whole)
    )
    assert all(map(np.array_equal, ours, theirs))


def test_a_dry_run_tells_shapes_and_memory_and_writes_nothing(
    photos, run_command, tmp_path
):
    flags = [*SMALL, f"--data_dir={photos}", f"--workdir={tmp_path / 'run'}"]
    output = run_command("abe_tf.train", *flags, "--dry_run").stdout
    assert "training batch: [6, 32, 32, 3] uint8" in output
    assert "gives [20, 2, 8] float32" in output
    assert re.search(r"mask_convolution_1: \[None, 8, 8, 180\], [\d,]+ param", output)
    assert re.search(r"peak memory: [\d,]+ MB", output)
    assert list(tmp_path.iterdir()) == []


def test_a_profile_is_recorded(photos, run_command, tmp_path):
    flags = [*SMALL, f"--data_dir={photos}", f"--workdir={tmp_path}", "--steps=3"]
    run_command("abe_tf.train", *flags, "--profile_steps=1:2")
    assert list(tmp_path.glob("tensorboard/plugins/profile/*/*.xplane.pb"))


def test_the_flagfile_names_the_run_and_what_follows_it_wins(
    photos, run_command, tmp_path
):
    flagfile = tmp_path / "mine.cfg"
    flagfile.write_text("# A comment.\n" + "\n".join([*SMALL, "--steps=5"]) + "\n")
    result = subprocess.run(
        [
            *(sys.executable, "-m", "abe_tf.train", f"--flagfile={flagfile}"),
            *(f"--data_dir={photos}", "--steps=0"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    flags = tmp_path / "runs" / "mine" / "flags.cfg"
    assert "--steps=0\n" in flags.read_text()
