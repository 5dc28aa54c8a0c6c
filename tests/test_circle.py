"""docs/circle.md as written: search, tick, label, train again, search by that."""

import csv
import re
import shlex

import pytest

from abe_tf.config.index import SourceConfig
from abe_tf.photo_index import searching
from abe_tf.photo_index.page.library import Library
from abe_tf.photo_index.page.requests import question
from abe_tf.photo_index.page.uploads import Uploads
from tests.conftest import SMALL
from tests.helpers.images import class_folders
from tests.test_commands import line_of

KINDS = ("ants", "bees", "cats", "dogs", "eels", "frogs", "goats", "hens")


@pytest.mark.slow
def test_the_circle_closes(run_command, tmp_path):
    class_folders(tmp_path / "PHOTOS", KINDS, 6, "jpg")

    def follow(text, beginning, *more):
        python, m, module, *flags = shlex.split(line_of(text, beginning))
        assert (python, m) == ("python", "-m")
        return run_command(module, *flags, *more, cwd=tmp_path).stdout

    network = [flag for flag in SMALL if not flag.startswith("--dataset")]
    length = ("--steps=6", "--eval_every=6", "--checkpoint_every=6")
    run_command(
        "abe_tf.train",
        *(*network, *length, "--dataset=image_folder", "--data_dir=PHOTOS"),
        *("--train_classes=0:6", "--validation_classes=0.4"),
        "--workdir=runs/mine",
        cwd=tmp_path,
    )
    assert "48 added" in follow(
        "circle.md", "python -m abe_tf.index --index=indexes/circle --workdir=runs/m"
    )
    index = str(tmp_path / "indexes/circle")

    # What a person does on the page: search by a photo, tick what is of its kind.
    library = Library(index, SourceConfig(), Uploads(10**6))
    numbers = {}
    with searching.moment(index) as now:
        for row in now.rows():
            (photo,) = now.photos([row])
            kind = photo.places[0].path.split("/")[-2]
            numbers.setdefault(kind, []).append(photo.places[0].number)
    for kind, photos in numbers.items():
        asked = question(b'{"like": [{"photo": %d}], "count": 48}' % photos[0])
        found = {hit["photo"] for hit in library.search(asked)["hits"]}
        assert found == {one for many in numbers.values() for one in many} - {photos[0]}
        library.label(photos[:4], kind)

    said = follow("circle.md", "python -m abe_tf.label", "--precision=50")
    assert "32 photos of 8 kinds were labelled" in said
    lists = [
        list(csv.DictReader((tmp_path / name).read_text().splitlines()))
        for name in ("labels.csv", "unsure.csv")
    ]
    assert sum(map(len, lists)) == 48
    known = [row for row in lists[0] if row["source"] == "known"]
    assert len(known) == 32
    assert all(row["path"].split("/")[-2] == row["label"] for row in known)

    here = "--index=indexes/circle"
    copies = follow("search.md", "python -m abe_tf.duplicates", here)
    assert re.search(r"sets; of the others 0 have the bytes .* 0 its pixels", copies)
    sure = "--precision=20"
    groups = follow("search.md", "python -m abe_tf.groups", here, sure)
    assert "P(same kind) at a base rate 1 :" in groups
    everyone = list(csv.DictReader((tmp_path / "groups.csv").read_text().splitlines()))
    assert len({row["path"] for row in everyone}) == 48
    assert "32 photos of 8 kinds" in follow(
        "search.md", "python -m abe_tf.label", here, sure
    )
    measured = follow("search.md", "python -m abe_tf.evaluate --workdir=runs/mine --s")
    assert "P(same kind): counted on" in measured

    few = "--classes_per_batch=2"
    again = follow("circle.md", "python -m abe_tf.train", *network, *length, few)
    assert "Training 6 steps into runs/better" in again
    assert "ensemble" in follow("circle.md", "python -m abe_tf.evaluate")
    with searching.moment(index) as now:
        before, labels = now.about["fingerprint"], now.labels()
    follow(
        "circle.md", "python -m abe_tf.index --index=indexes/circle --workdir=runs/b"
    )
    with searching.moment(index) as now:
        assert now.about["fingerprint"] != before
        assert now.labels() == labels == dict.fromkeys(KINDS, 4)
        assert now.about["calibration"] is not None
    found = run_command(
        "abe_tf.search",
        *("--index=indexes/circle", "PHOTOS/ants/0.jpg", "--json"),
        cwd=tmp_path,
    )
    assert '"distance": 0.0' in found.stdout and "P(same kind) at a" in found.stderr
