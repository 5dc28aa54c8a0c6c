"""What older revisions wrote is read as it was meant: the same numbers and runs."""

import json
import os
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from tests.conftest import ROOT

PACKED = ROOT / "tests" / "goldens" / "revision_1c14863.tar.xz"


@pytest.fixture
def golden(tmp_path):
    with tarfile.open(PACKED) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


@pytest.fixture
def embeddings(golden):
    with np.load(golden / "embeddings.npz") as found:
        return found["learner_embeddings"]


def saved(path):
    with np.load(path) as found:
        return found["learner_embeddings"]


def test_a_run_is_evaluated_with_the_same_numbers(golden, embeddings, run_command):
    before = json.loads((golden / "run" / "results.json").read_text())
    path = golden / "again.npz"
    run_command(
        "abe_tf.evaluate", f"--workdir={golden / 'run'}", f"--save_embeddings={path}"
    )
    np.testing.assert_allclose(saved(path), embeddings, atol=1e-5)
    # Of the embeddings as they were: these are near to ties, others round otherwise.
    run_command("abe_tf.evaluate", f"--embeddings={golden / 'embeddings.npz'}")
    again = json.loads((golden / "embeddings.npz.json").read_text())
    for name in ("ensemble", "concatenated", "learners", "num_queries", "split"):
        assert again[name] == before[name], name


def test_a_run_goes_on_and_ends_with_the_same_weights(golden, embeddings, run_command):
    workdir = golden / "run"
    flags = (f"--flagfile={workdir / 'flags.cfg'}", f"--workdir={workdir}")
    output = run_command("abe_tf.train", *flags).stdout
    assert "Going on after step 4/6" in output
    path = golden / "ended.npz"
    ended = ("--checkpoint=last", f"--save_embeddings={path}")
    run_command("abe_tf.evaluate", f"--workdir={workdir}", *ended)
    np.testing.assert_allclose(saved(path), embeddings, atol=1e-5)


@pytest.mark.slow
def test_a_run_is_exported_and_reported(golden, embeddings, run_command):
    workdir = golden / "run"
    models = golden / "new"
    run_command("export.saved_model", f"--workdir={workdir}", f"--export_dir={models}")
    # About the photos of the older export: newer ones hold them written anew.
    found = answers(models / "1", golden / "models" / "1")
    np.testing.assert_allclose(found, warmed(embeddings), atol=1e-4)
    run_command("abe_tf.report", f"--workdir={workdir}")
    assert "step-4" in (workdir / "report.html").read_text()


def test_an_export_answers_with_the_same_numbers(golden, embeddings):
    found = answers(golden / "models" / "1")
    np.testing.assert_allclose(found, warmed(embeddings), atol=1e-5)


def warmed(embeddings):
    """Those of the 32 photos that warmup records hold, the first eight of them."""
    return embeddings[np.linspace(0, len(embeddings) - 1, 32).astype(int)][:8]


def answers(version, warmed_by=None):
    """What an export makes of the first photos in warmup records, its own or others."""
    script = (
        "import sys, numpy as np\n"
        "from export.publish import serving_files\n"
        "photos = max(serving_files.read_warmup(sys.argv[1]), key=len)[:8]\n"
        "np.save(sys.argv[2], np.array(photos, object), allow_pickle=True)\n"
    )
    photos = f"{version}.npy"
    ask = (
        "import sys, numpy as np\n"
        "from export.runtime import c_api\n"
        "photos = np.load(sys.argv[2], allow_pickle=True)\n"
        "model = c_api.LoadedModel(sys.argv[1])\n"
        "answer = model.run('learners', {'image_bytes': list(photos)})\n"
        "np.save(sys.argv[3], answer['learner_embeddings'])\n"
    )
    for code, *arguments in (
        (script, warmed_by or version, photos),
        (ask, version, photos, f"{version}.answers.npy"),
    ):
        subprocess.run(
            [sys.executable, "-c", code, *map(os.fspath, arguments)],
            cwd=ROOT,
            check=True,
        )
    return np.load(f"{version}.answers.npy")
