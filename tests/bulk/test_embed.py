"""Very many photos by Apache Beam: each once, whatever happens.

In the environment of requirements-bulk.txt, by `make test-all`; elsewhere skipped.
"""

import csv
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import abe_tf
from abe_tf.config.bulk import EmbedConfig
from abe_tf.config.index import SourceConfig, UpdateConfig
from abe_tf.errors import InputError
from abe_tf.photo_index import indexing, searching
from abe_tf.retrieval.shards import Shards
from tests.conftest import ROOT
from tests.helpers.images import class_folders
from tests.test_commands import line_of

pytestmark = pytest.mark.slow
pytest.importorskip("apache_beam", reason="needs requirements-bulk.txt")

BROKEN = {
    "empty.jpg": b"",
    "text.jpg": b"no photo at all",
    "cut.jpg": None,
    "zeros.jpg": bytes(100),
    "cut.png": None,
}


@pytest.fixture(scope="module")
def many(photos, tmp_path_factory):
    """200 photos in folders of eight kinds, of which five cannot be read."""
    folder = tmp_path_factory.mktemp("many") / "photos [1]"
    whole = sorted(photos.rglob("*.*"))
    for number in range(195):
        # A byte behind the end: each has a content of its own.
        one = whole[number % len(whole)]
        to = folder / one.parent.name / f"{number:03d}{one.suffix}"
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(one.read_bytes() + bytes([number]))
    for name, content in BROKEN.items():
        cut = whole[0] if name.endswith("png") else whole[1]
        (folder / "class_0" / name).write_bytes(
            cut.read_bytes()[:60] if content is None else content
        )
    return folder


def command(model, folder, output, *flags):
    return [
        *(sys.executable, "-m", "abe_tf.embed", f"--model_dir={model}"),
        *(f"--input={folder}", f"--output={output}", "--shard_size=20"),
        *("--batch_size=8", *flags, "--", "--direct_running_mode=multi_processing"),
        "--direct_num_workers=2",
    ]


def state(prefix):
    """The shards that are there, and when each was written."""
    found = pathlib.Path(prefix).parent.glob("*.parquet")
    return {str(path): path.stat().st_mtime_ns for path in found}


def rows(prefix):
    """Path and embedding of each photo of all shards."""
    shards = Shards(str(prefix))
    assert shards.missing() == []
    found = []
    for shard in range(shards.manifest.shards):
        told, embeddings = shards.read(shard)
        found += zip([row.path for row in told], embeddings, strict=True)
    return found


def run_and_kill(asked, prefix):
    """Kills the command, and its workers, once two shards are there."""
    process = subprocess.Popen(asked, cwd=ROOT, start_new_session=True)
    while len(state(prefix)) < 2:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_killed_and_gone_on_every_photo_is_embedded_once(
    many, trained, exported, tmp_path
):
    prefix = tmp_path / "out" / "photos"
    asked = command(exported[0], many, prefix)
    run_and_kill(asked, prefix)
    before = state(prefix)
    assert 2 <= len(before) < 10
    result = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    after = state(prefix)
    assert len(after) == 10
    # What was done stays as it was.
    assert {path: after[path] for path in before} == before
    # What the killed ones were writing is hidden, and in nobody's way.
    assert not [one for one in prefix.parent.iterdir() if one.suffix == ".tmp"]
    told = f"5 cannot be read; 10 shards, {len(before)} of them before"
    assert "195 photos embedded" in result.stdout and told in result.stdout
    for name in BROKEN:
        assert f"class_0/{name}'" in result.stderr

    found = rows(prefix)
    paths = [path for path, _ in found]
    good = sorted(str(one) for one in many.rglob("*.*") if one.name not in BROKEN)
    assert sorted(paths) == good
    expected = abe_tf.load(str(trained[0])).embed(paths)
    embeddings = np.stack([embedding for _, embedding in found])
    np.testing.assert_allclose(embeddings, expected, atol=1e-4)


@pytest.fixture(scope="module")
def embedded(many, exported, tmp_path_factory):
    """The shards of all photos, in this process."""
    from abe_tf.bulk import pipeline

    prefix = tmp_path_factory.mktemp("embedded") / "photos"
    config = EmbedConfig(
        model_dir=str(exported[0]),
        input=str(many),
        output=str(prefix),
        shard_size=50,
        batch_size=8,
    )
    return config, pipeline.run(config, [])


def test_an_index_takes_the_shards_in(embedded, many, tmp_path, monkeypatch):
    config, outcome = embedded
    assert len(outcome.broken) == 5
    index = str(tmp_path / "index")
    options = UpdateConfig(from_embeddings=config.output, quiet=True)
    (taken,) = indexing.index(index, SourceConfig(), options, [])
    assert (taken.tally.added, len(taken.tally.broken)) == (200, 5)
    with searching.moment(index) as now:
        found = {now.photos([row])[0].places[0].path: row for row in now.rows()}
        for path, embedding in rows(config.output):
            np.testing.assert_array_equal(now.embedding(found[path]), embedding)
        assert now.labels()["class_1"] > 20 and len(now.labels()) == 8
    (again,) = indexing.index(index, SourceConfig(), options, [])
    assert (again.tally.unchanged, again.tally.added) == (195, 0)
    # The folder itself has nothing to embed; a photo that could not be read is tried.
    from abe_tf.photo_index.batches import embed_padded

    def embeds_none(model, squares, batch_size):
        assert not squares
        return embed_padded(model, squares, batch_size)

    monkeypatch.setattr("abe_tf.photo_index.updating.embed_padded", embeds_none)
    (walked,) = indexing.index(
        index, SourceConfig(), UpdateConfig(quiet=True), [str(many)]
    )
    assert (walked.tally.unchanged, walked.tally.added) == (195, 0)


def test_shards_that_lack_are_named_and_the_others_taken_in(embedded, tmp_path):
    config, _ = embedded
    shutil.copytree(os.path.dirname(config.output), tmp_path / "some")
    os.remove(tmp_path / "some" / "photos-00002.parquet")
    options = UpdateConfig(from_embeddings=str(tmp_path / "some/photos"), quiet=True)
    index = str(tmp_path / "index")
    with pytest.raises(InputError, match="without 1 of 4 shards, of 50 photos, the "):
        list(indexing.index(index, SourceConfig(), options, []))
    with searching.moment(index) as now:
        assert 140 < len(now.rows()) < 150


def test_another_list_model_or_shard_is_refused(embedded, many, exported, tmp_path):
    from abe_tf.bulk import pipeline

    config, _ = embedded
    before = state(config.output)
    given = {**vars(config), "quiet": True}
    list_of_one = tmp_path / "one.csv"
    list_of_one.write_text(f"path\n{many}/class_1/{os.listdir(many / 'class_1')[0]}\n")
    for changed, said in (
        ({"input": str(list_of_one)}, "with list "),
        ({"shard_size": 7}, "with shard_size 50, and 7 now"),
        ({"labels": "none"}, "with list "),
    ):
        with pytest.raises(InputError, match=f"--output must be new.*{said}"):
            pipeline.run(EmbedConfig(**{**given, **changed}), [])
    assert state(config.output) == before
    with pytest.raises(InputError, match="What follows -- must be flags of Apache"):
        pipeline.run(config, ["--direct_num_worker=2"])
    with pytest.raises(InputError, match="--input must find photos"):
        pipeline.run(EmbedConfig(**{**given, "input": str(tmp_path / "*.jpg")}), [])


def test_shards_without_their_manifest_are_not_taken_for_others(embedded, tmp_path):
    from abe_tf.bulk import pipeline

    config, _ = embedded
    shutil.copytree(os.path.dirname(config.output), tmp_path / "some")
    os.remove(tmp_path / "some" / "photos.manifest.json")
    given = {**vars(config), "output": str(tmp_path / "some" / "photos")}
    with pytest.raises(InputError, match="with 4 shards and without its manifest"):
        pipeline.run(EmbedConfig(**given), [])


def test_what_beam_or_a_worker_refuses_is_said_in_a_line(
    many, exported, tmp_path, run_command
):
    prefix = tmp_path / "out" / "photos"
    for flags, said in (
        (["--runner=Nope"], "that fit its runner. Received: Unexpected pipeline runn"),
        (["--direct_num_workers=two"], "invalid int value: 'two'"),
        (["--runner=DataflowRunner"], "that fit its runner."),
    ):
        asked = command(exported[0], many / "class_1", prefix)[3:-2]
        result = run_command("abe_tf.embed", *asked, *flags, check=False)
        assert result.returncode == 1 and said in result.stderr, result.stderr
        assert "Traceback" not in result.stderr
    asked = command(exported[0], many / "class_1", prefix)[3:]
    os.remove(f"{prefix}-00000.list.csv")
    result = run_command("abe_tf.embed", *asked, check=False)
    # What Beam's workers log stands before it.
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("embed: The lists of --output must stay. Received: ")
    assert last.endswith("or give another --output.")


def test_killed_while_it_does_broken_ones_again_none_is_lost(
    many, exported, tmp_path, monkeypatch
):
    from abe_tf.bulk import pipeline, store

    folder = tmp_path / "photos"
    folder.mkdir()
    good = sorted(many.glob("class_1/*.jpg"))[0]
    (folder / "a.jpg").write_bytes(b"none")
    (folder / "b.jpg").write_bytes(b"none")
    given = {
        "model_dir": str(exported[0]),
        "input": str(folder),
        "output": str(tmp_path / "out" / "photos"),
    }
    assert len(pipeline.run(EmbedConfig(**given), []).broken) == 2
    shutil.copy(good, folder / "a.jpg")
    write = store.write

    def write_no_shard(path, content):
        if path.endswith(".parquet"):
            raise KeyboardInterrupt
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", write_no_shard)
        with pytest.raises(BaseException):  # noqa: B017
            pipeline.run(EmbedConfig(**given, retry=True), [])
    # It is still told as broken, and not taken for done.
    assert len(pipeline.run(EmbedConfig(**given), []).broken) == 2
    outcome = pipeline.run(EmbedConfig(**given, retry=True), [])
    assert [path for path, _ in outcome.broken] == [str(folder / "b.jpg")]
    assert [path for path, _ in rows(given["output"])] == [str(folder / "a.jpg")]


def test_a_photo_that_is_mended_is_embedded_by_retry(many, exported, tmp_path):
    from abe_tf.bulk import pipeline

    listed = tmp_path / "photos.csv"
    good = sorted(many.glob("class_1/*.jpg"))[:3]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"none")
    lines = [("path", "label"), *((str(one), "first") for one in good)]
    with open(listed, "w", newline="") as file:
        csv.writer(file).writerows([*lines, ("broken.jpg", "")])
    given = {
        "model_dir": str(exported[0]),
        "input": str(listed),
        "output": str(tmp_path / "out/photos"),
        "shard_size": 2,
    }
    outcome = pipeline.run(EmbedConfig(**given), [])
    assert [path for path, _ in outcome.broken] == [str(broken)]
    assert "no JPEG, PNG, GIF or BMP file" in outcome.broken[0][1]
    before = state(given["output"])
    shutil.copy(good[0], broken)
    outcome = pipeline.run(EmbedConfig(**given, retry=True), [])
    assert (outcome.broken, outcome.before) == ([], 1)
    after = state(given["output"])
    first = given["output"] + "-00000.parquet"
    assert after[first] == before[first]
    found = rows(given["output"])
    assert [path for path, _ in found] == [*map(str, good), str(broken)]
    np.testing.assert_allclose(found[3][1], found[0][1], atol=1e-6)
    labels = [row.label for row in Shards(given["output"]).read(1)[0]]
    assert labels == ["first", None]


def test_the_page_of_docs_is_as_written(exported, run_command, tmp_path):
    class_folders(tmp_path / "PHOTOS", ("apples", "pears"), 3, "jpg")
    shutil.copytree(exported[0], tmp_path / "models/mine")

    def follow(text, beginning):
        python, m, module, *flags = shlex.split(line_of(text, beginning))
        assert (python, m) == ("python", "-m")
        return run_command(module, *flags, cwd=tmp_path).stdout

    said = follow("scale.md", "python -m abe_tf.embed --model_dir=models/mine")
    assert "6 photos embedded, 0 cannot be read; 1 shards" in said
    said = follow("scale.md", "python -m abe_tf.index --index=indexes/bulk")
    assert "6 added" in said
    said = follow(
        "scale.md", "python -m abe_tf.hand_over --index=indexes/bulk --to=npz"
    )
    assert "6 rows written; it holds the 6 contents of the index" in said
    said = follow("scale.md", "python -m abe_tf.hand_over --index=indexes/bulk --to=pa")
    assert "6 rows written" in said
    (tmp_path / "IMAGE.jpg").write_bytes((tmp_path / "PHOTOS/pears/1.jpg").read_bytes())
    found = run_command(
        "abe_tf.search", "--index=indexes/bulk", "--paths", "IMAGE.jpg", cwd=tmp_path
    ).stdout
    assert found.splitlines()[0].endswith("PHOTOS/pears/1.jpg")
