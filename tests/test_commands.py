"""Every command in README and docs/ is run here as written, or says that it is not.

What takes minutes is marked slow.

Names in capitals stand for what a reader has: here, two folders of three photos. What
would need a download, or an hour, has something else in its place: two steps.
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import requests
from PIL import Image

from tests.conftest import ROOT
from tests.helpers.images import class_folders
from tests.helpers.served import Served, started

TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MARKS = ("not run here", "no test runs")
STARTS = re.compile(
    r"\s*(?:python|make|tensorboard|curl|docker|git|pip|srun|export|for|\.) "
)
# Measured by hand, with the day beside the figures: `test_docs.py`.
BY_HAND = ("python -m benchmarks.",)
# What the environments of the tests and of continuous integration were made by.
INSTALLS = (
    "pip install ",
    "python3.11 -m venv",
    "git clone ",
    ". .venv",
    "make test",
    # Of the second set of pins: README's first lines again.
    "make TF=2.21 ",
)
# Run below by other means than `follow`.
OTHERWISE = (
    "python -m abe_tf.browse --index=indexes/",
    "tensorboard --logdir runs",
    "python -m export.local_server --model_dir=models/mine &",
    "python -m export.client --url=http://localhost:8501/",
    "python -c ",
    "curl --data @request.json http://localhost:8501/v1/models/abe:predict",
    "make demo",
)
# Not typed as they stand: what a command is called in a sentence, and Docker's.
NAMED = (
    *("python -m abe_tf.sweep", "make smoke-serving MODEL=models/mine"),
    # Of an index that `--workdir` made: what it was made of is in it.
    "python -m abe_tf.index --index=indexes/mine",
)
WITHOUT_DOWNLOAD = (
    ("--encoder=mobilenet", "--encoder=inception_small"),
    ("--encoder_weights=imagenet", "--encoder_weights=none"),
)
BLOCK = re.compile(r"((?:^    .+\n)+)", re.MULTILINE)
INLINE = re.compile(r"`((?:python -m|make) [^`]+)`")


def told():
    """The commands of the texts: text, line, and whether it is marked as not run."""
    for path in TEXTS:
        text = path.read_text(encoding="utf-8")
        for block in BLOCK.finditer(text):
            before = text[: block.start()].rstrip("\n").rsplit("\n\n", 1)[-1]
            marked = any(mark in before.lower().replace("\n", " ") for mark in MARKS)
            for line in block[1].splitlines():
                if STARTS.match(line):
                    yield path.name, line.strip(), marked
        for command in INLINE.findall(text):
            yield path.name, command, False


def runs():
    """What this file runs, as its own text has it: beginnings of lines of a text."""
    own = pathlib.Path(__file__)
    both = "".join(
        path.read_text(encoding="utf-8")
        for path in (
            own,
            own.with_name("test_circle.py"),
            own.with_name("bulk") / "test_embed.py",
        )
    )
    return re.findall(r'follow\(\s*"([\w.]+)",\s*"([^"]+)"', both)


def test_every_command_is_run_or_says_that_it_is_not():
    commands = list(told())
    assert len(commands) > 50
    # Each call of `follow` runs the one line of its text that begins so.
    run = set()
    for text, beginning in runs():
        (line,) = {
            line
            for where, line, _ in commands
            if where == text and line.startswith(beginning)
        }
        run.add(line)
    for where, line, marked in commands:
        by_hand = line.startswith((*BY_HAND, *INSTALLS, *OTHERWISE)) or line in NAMED
        assert marked or by_hand or line in run, f"{where}: {line}"


def line_of(text, beginning):
    """The one command of a text that begins so."""
    (line,) = {
        line
        for where, line, _ in told()
        if where == text and line.startswith(beginning)
    }
    return line


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder to stand in, with PHOTOS: two folders of three photos each."""
    folder = tmp_path_factory.mktemp("place")
    class_folders(folder / "PHOTOS", ("apples", "pears"), 3, "jpg")
    shutil.copy(folder / "PHOTOS/apples/0.jpg", folder / "IMAGE")
    shutil.copy(folder / "PHOTOS/apples/0.jpg", folder / "PHOTO.jpg")
    return folder


@pytest.fixture(scope="module")
def follow(place, run_command_once):
    """Runs a line of a text, with more behind it, where the photos lie."""

    def run(text, beginning, *more):
        line = line_of(text, beginning)
        for pretrained, own in WITHOUT_DOWNLOAD:
            line = line.replace(pretrained, own)
        python, m, module, *flags = shlex.split(line)
        assert (python, m) == ("python", "-m")
        return run_command_once(module, *flags, *more, cwd=place).stdout

    return run


@pytest.fixture(scope="module")
def mine(follow):
    """The README's run of two folders of three photos."""
    said = follow(
        "README.md", "python -m abe_tf.train", "--steps=2", "--num_learners=2"
    )
    assert "2 classes" in said
    return said


def test_an_index_without_training_finds_the_photo_itself(follow, place):
    assert "6 added" in follow("README.md", "python -m abe_tf.index")
    hits = follow("README.md", "python -m abe_tf.search --index=indexes/mine IMAGE")
    assert "apples/0.jpg" in hits.splitlines()[0]
    browse = (sys.executable, "-m", "abe_tf.browse", "--index=indexes/mine")
    with started(*browse, "--port=0", cwd=place, env=environment()) as address:
        assert requests.get(f"{address}api/state", timeout=20).json()["photos"] == 6


def test_the_run_is_evaluated_reported_and_looked_at(follow, mine, place):
    assert "ensemble" in follow("README.md", "python -m abe_tf.evaluate")
    follow("README.md", "python -m abe_tf.report")
    assert (place / "runs/mine/report.html").is_file()


def test_a_loss_with_proxies_trains(follow, place):
    few = ("--steps=2", "--num_learners=2")
    assert "2/2" in follow("losses.md", "python -m abe_tf.train --dataset", *few)
    assert (place / "runs/anchored/checkpoints/step-2").is_dir()


def test_compared_ensembles_train(follow):
    said = follow("ensembles.md", "python -m abe_tf.train --ensemble=hdc", "--steps=2")
    assert "2/2" in said
    said = follow("ensembles.md", "python -m abe_tf.train --ensemble=bier", "--steps=2")
    assert "2/2" in said


@pytest.mark.slow
def test_photos_of_several_places_train(follow, place):
    for domain in ("shop", "street", "studio", "market"):
        class_folders(place / "PLACES" / domain, ("a", "b", "c", "d"), 2, "jpg")
    few = ("--steps=2", "--image_size=32", "--meta_images=2")
    said = follow("domains.md", "python -m abe_tf.train", *few)
    assert "number of domains 3: shop, street, studio" in said and "2/2" in said
    said = follow("domains.md", "python -m abe_tf.evaluate")
    assert "photos of market, where none trained, 8 queries" in said
    assert re.search(r"^map +\d", said, re.MULTILINE)
    follow("domains.md", "python -m abe_tf.report")
    assert (place / "runs/elsewhere/pictures/mixtures_elsewhere.png").is_file()


@pytest.mark.slow
def test_runs_are_laid_side_by_side(follow, mine, place):
    for copy in ("one", "another"):
        shutil.copytree(place / "runs/mine", place / "runs" / copy)
    follow("evaluation.md", "python -m abe_tf.report --workdir=runs/one")
    assert (place / "runs/both/report.html").is_file()
    program = pathlib.Path(sys.executable).parent / "tensorboard"
    with started(program, "--logdir", "runs", "--port=0", cwd=place) as address:
        runs = requests.get(f"{address}data/runs", timeout=60).json()
    assert any(name.startswith("mine") for name in runs)


def test_an_index_by_the_run_finds_the_photo_itself(follow, mine, place):
    more = "--index=indexes/by_run"
    by_run = follow(
        "search.md", "python -m abe_tf.index --index=indexes/mine --w", more
    )
    assert "6 added" in by_run
    hits = follow("search.md", "python -m abe_tf.search --index=indexes/mine", more)
    assert "apples/0.jpg" in hits.splitlines()[0]
    follow("search.md", "python -m abe_tf.index --index=indexes/mine --graph", more)
    assert list((place / "indexes/by_run").glob("graph-*.usearch"))


def test_the_run_is_served_and_asked(follow, mine, place):
    said = follow("README.md", "python -m export.saved_model")
    assert "Exported runs/mine" in said
    server = Served(place / "models/mine")
    here = ("http://localhost:8501", server.origin)
    try:
        clients = [line for _, line, marked in told() if "export.client" in line]
        for line in clients:
            if "HOST" not in line:
                asked = shlex.split(line.replace(*here))
                subprocess.run([sys.executable, *asked[1:]], **at(place), check=True)
        with np.load(place / "answers.npz") as answers:
            assert len(answers["ids"]) == 6
        lines = [line for where, line, _ in told() if where == "serving.md"]
        (write,) = (line for line in lines if line.startswith("python -c"))
        subprocess.run(write.replace("python", sys.executable, 1), **at(place, True))
        (ask,) = (line for line in lines if line.startswith("curl"))
        answer = subprocess.run(ask.replace(*here), **at(place, True))
    finally:
        server.stop()
    (row,) = json.loads(answer.stdout)["predictions"]
    assert len(row) == 512


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def at(place, shell=False):
    return {
        "cwd": place,
        "env": environment(),
        "shell": shell,
        "stdout": subprocess.PIPE,
        "text": True,
    }


def test_photos_are_shown(follow, place):
    batch = ("--classes_per_batch=2", "--show=4", "--sheet=sheet.png")
    follow("datasets.md", "python -m abe_tf.data --dataset=image_folder", *batch)
    with Image.open(place / "sheet.png") as sheet:
        assert np.asarray(sheet).std() > 10


@pytest.mark.slow
def test_networks_are_told(follow):
    assert "ABE-8" in follow("README.md", "python -m abe_tf.summary")
    assert "mobilenet" in follow("training.md", "python -m abe_tf.encoders")
    follow("datasets.md", "python -m abe_tf.data --dataset=NAME", "--dataset=digits")


@pytest.mark.slow
def test_the_demo_runs_to_its_end(tmp_path):
    clone = tmp_path / "clone"
    made = {".git", ".venv", "runs", "models", "indexes", "photos"}
    shutil.copytree(
        ROOT, clone, ignore=lambda at, _: made if at == str(ROOT) else set()
    )
    environment = pathlib.Path(sys.prefix)
    start = time.time()
    said = subprocess.run(
        # The environment is the tests' own, whatever its pins.
        ["make", "demo", "-o", f"{environment}/runtime", f"VENV={environment}"]
        + ["TRAIN_FLAGS=--steps=2"],
        cwd=clone,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "Open the page" in said
    for made in ("runs", "models", "indexes"):
        (folder,) = (clone / made).iterdir()
        assert folder.stat().st_mtime >= start
