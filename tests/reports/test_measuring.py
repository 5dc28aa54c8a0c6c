"""What was measured is found again, and only of the same weights and images."""

import json
import os
import shutil

import numpy as np
import pytest

from abe_tf.config.evaluation import EvaluationConfig, SplitConfig
from abe_tf.reports.measuring import Measuring
from abe_tf.runs.folder import RunFolder


@pytest.fixture(scope="module")
def run(trained, photos, tmp_path_factory):
    """A run with photos of its own: its folder, and where they lie."""
    folder = tmp_path_factory.mktemp("measured")
    # Without what other tests have measured of it.
    measured = shutil.ignore_patterns("results.json", "embeddings_*.npz")
    shutil.copytree(trained[0], folder / "run", ignore=measured)
    shutil.copytree(photos, folder / "photos")
    return RunFolder(str(folder / "run")), folder / "photos"


@pytest.fixture(scope="module")
def first(run):
    """Its measurement, kept."""
    measuring = measuring_of(run)
    model = measuring.load("last")
    measured = measuring.measure(measuring.embed(model))
    measuring.keep(measured)
    return measuring, model, measured


def measuring_of(run, **options):
    folder, photos = run
    split = SplitConfig(data_dir=str(photos))
    return Measuring(folder, split, EvaluationConfig(**options))


def test_what_is_found_again_is_what_was_measured(first):
    measuring, model, measured = first
    kept = measuring.kept(model)
    # The same text, which tells each bit of a figure.
    assert json.dumps(kept.as_json()) == json.dumps(measured.as_json())
    np.testing.assert_array_equal(kept.evaluation.ranks, measured.evaluation.ranks)
    np.testing.assert_array_equal(
        kept.archive.queries.learner_embeddings,
        measured.archive.queries.learner_embeddings,
    )


def test_what_an_older_version_kept_is_measured_to_the_end(run, first, capsys):
    measuring, model, measured = first
    path = run[0].embeddings("test")
    with open(path, "rb") as file:
        whole = file.read()
    with np.load(path) as kept:
        arrays = dict(kept)
    besides = json.loads(str(arrays["measured"]))
    for name in ("effective_rank", "cmc"):
        del besides[name]
    np.savez(path, **{**arrays, "measured": json.dumps(besides)})
    found = measuring.kept(model)
    assert not capsys.readouterr().err
    assert json.dumps(found.as_json()) == json.dumps(measured.as_json())
    with open(path, "wb") as file:
        file.write(whole)


def test_another_k_needs_no_measuring(run, first):
    _, model, measured = first
    kept = measuring_of(run, recall_at=(3,)).kept(model, more_ks=[1])
    ensemble = kept.evaluation.recall.ensemble
    assert list(ensemble) == [1, 3]
    assert ensemble[3] == 100 * np.mean(measured.evaluation.ranks[-2] < 3)


def test_other_weights_are_measured_anew(first):
    measuring, model, _ = first
    weight = model.network.trainable_weights[0]
    before = weight.numpy()
    weight.assign(before + 1)
    assert measuring.kept(model) is None
    weight.assign(before)
    assert measuring.kept(model)


def test_images_that_changed_are_measured_anew(run, first):
    _, model, _ = first
    # A class of the test half: the last ones.
    path = run[1] / "class_7" / "1.jpg"
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert measuring_of(run).kept(model) is None
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert measuring_of(run).kept(model)


def test_a_file_that_is_damaged_is_named_and_measured_anew(run, first, capsys):
    measuring, model, _ = first
    path = run[0].embeddings("test")
    with open(path, "rb") as file:
        whole = file.read()
    with open(path, "wb") as file:
        file.write(whole[:-100])
    assert measuring.kept(model) is None
    assert f"Measured again: {path} is damaged" in capsys.readouterr().err
    with open(path, "wb") as file:
        file.write(whole)


def test_best_and_last_are_compared_when_asked(run, run_command):
    folder, photos = run
    # A best one of another step.
    shutil.rmtree(folder.checkpoints("best"), ignore_errors=True)
    shutil.copytree(
        f"{folder.checkpoints('last')}/step-6", f"{folder.checkpoints('best')}/step-4"
    )
    flags = [f"--workdir={folder.path}", f"--data_dir={photos}"]
    for more, expected in (
        ((), {"test/step-4"}),
        (("--compare_checkpoints",), {"test/step-4", "test/step-6"}),
    ):
        output = run_command("abe_tf.evaluate", *flags, *more).stdout
        assert ("last, step-6: Recall@K" in output) == bool(more)
        with open(folder.results) as file:
            results = json.load(file)["results"]
        assert set(results) == expected
    # The other one in short.
    assert "ranking" in results["test/step-4"]
    assert "ranking" not in results["test/step-6"]
