"""A list with cameras and domains through training, evaluation, report and export."""

import csv
import json

import pytest

from tests.conftest import SMALL
from tests.helpers.images import class_folders

CLASSES = "abcdef"


@pytest.mark.slow
def test_photos_of_several_cameras_that_are_not_square(tmp_path, run_command):
    class_folders(tmp_path / "photos", CLASSES, 6, "png")
    listed = tmp_path / "photos.csv"
    with open(listed, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "domain", "camera", "split"])
        for name in CLASSES:
            for number in range(6):
                domain = ("shop", "street")[number % 2]
                split = "test" if name in "ef" else "train"
                # One class has been seen by one camera alone.
                camera = "left" if name == "f" or number % 2 else "right"
                path = f"photos/{name}/{number}.png"
                rows.writerow([path, name, domain, camera, split])
    workdir = tmp_path / "run"
    flags = [flag for flag in SMALL if "per_" not in flag and "size" not in flag]
    flags.remove("--nopictures")
    batches = ("--batches=domains", "--domains_per_batch=2", "--classes_per_batch=2")
    said = run_command(
        *("abe_tf.train", *flags, *batches, "--images_per_class=2"),
        *(f"--image_list={listed}", f"--workdir={workdir}", "--image_size=40x32"),
        *("--steps=2", "--eval_every=2", "--validation_classes=0.5", "--norandom_flip"),
    ).stdout
    assert "number of domains 2: shop, street" in said
    evaluated = run_command("abe_tf.evaluate", f"--workdir={workdir}").stdout
    lines = {line.split()[0]: line for line in evaluated.splitlines() if line.split()}
    for k in (1, 5, 10):
        assert "among the k nearest" in lines[f"cmc@{k}"]
    assert "mean over queries" in lines["map"]
    assert "leave out photos of a query's class by its own camera" in evaluated
    assert "6 queries have no others of their class" in evaluated
    (measured,) = json.loads((workdir / "results.json").read_text())["results"].values()
    assert measured["ensemble"]["recall@1"] > 0
    report = tmp_path / "report"
    run_command("abe_tf.report", f"--workdir={workdir}", f"--report_dir={report}")
    page = (report / "report.html").read_text()
    assert "cmc@10" in page
    assert "class by its own." in page
    pictures = {path.name for path in report.rglob("*.png")}
    assert any("mask" in name for name in pictures)
    # The exporter holds its answers against evaluation's.
    models = tmp_path / "models"
    run_command("export.saved_model", f"--workdir={workdir}", f"--export_dir={models}")
    assert list(models.rglob("saved_model.pb"))
