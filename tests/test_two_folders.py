"""Any two folders of photos go through the first command, and go on from there."""

import json

import pytest

from abe_tf.reports import page
from abe_tf.runs.folder import RunFolder
from tests.conftest import SMALL
from tests.helpers.images import class_folders


@pytest.mark.slow
def test_two_folders_train_are_evaluated_and_go_further(run_command, tmp_path):
    class_folders(tmp_path / "photos", ("cats", "dogs"), 6, "webp")
    workdir = tmp_path / "run"
    batches = [f for f in SMALL if not f.startswith(("--classes_per", "--images_per"))]
    command = [
        *(*batches, f"--data_dir={tmp_path / 'photos'}", f"--workdir={workdir}"),
        f"--cache_dir={tmp_path / 'cache'}",
    ]
    told = run_command("abe_tf.train", *command, "--steps=3")
    assert "Finished" not in told.stdout
    assert "train: 8 images of 2 classes" in told.stdout
    for text in (
        "2 classes are too few to hold any out",
        "Batches of 2 classes x 4 images",
        "Reading 12 of 12 photos through",
    ):
        assert told.stderr.count(text) == 1
    told = run_command("abe_tf.evaluate", f"--workdir={workdir}").stdout
    assert "held-out photos of known classes, 4 queries" in told
    (result,) = json.loads((workdir / "results.json").read_text())["results"].values()
    assert result["known_classes"] == "held-out photos of known classes"
    assert result["num_queries"] == 4
    told = run_command("abe_tf.train", *command, "--steps=5").stdout
    assert "Going on after step 3/5" in told
    assert "5 steps instead of 3: the learning rate follows --schedule=cosine" in told
    assert RunFolder(str(workdir)).flags().training.steps == 5
    less = run_command("abe_tf.train", *command, "--steps=4", check=False)
    assert "--steps=4 (was 5)" in less.stderr


def test_the_report_names_known_classes():
    class Report:
        name, paper_name = "mine", "ABE-2^16"

        class archive:  # noqa: N801
            gallery = None
            about = {  # noqa: RUF012
                "checkpoint": "step-3",
                "split": "test",
                "dataset": "image_folder",
                "known_classes": "held-out photos of known classes",
            }

        class measured:  # noqa: N801
            class recall:  # noqa: N801
                num_queries = 4

    told = page._introduce(Report)
    assert "4 queries of held-out photos of known classes of image_folder" in told
