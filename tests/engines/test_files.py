"""What is handed over as files, and what stays as it is."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from abe_tf.engines import faiss_folder, files
from abe_tf.errors import InputError
from abe_tf.layout import Layout
from abe_tf.retrieval import archive
from abe_tf.retrieval.shards import Shards
from tests.conftest import ROOT
from tests.engines.conftest import both_layouts


@both_layouts
def test_parquet_holds_every_photo_and_its_learners(index, handed, tmp_path):
    prefix = str(tmp_path / "out/photos")
    assert handed("parquet", prefix).sent == 300
    shards = Shards(prefix)
    assert shards.missing() == [] and shards.manifest.photos == 300
    rows, embeddings = shards.read(0)
    assert [row.path for row in rows] == [f"/photos/{n:05d}.jpg" for n in range(300)]
    assert rows[2].label == "cat" and rows[3].label is None
    np.testing.assert_array_equal(embeddings, index.embeddings)
    # As any other reader sees it.
    table = pq.read_table(f"{prefix}-00000.parquet")
    assert table.column("embedding").type.list_size == index.layout.size
    about = json.loads(table.schema.metadata[b"abe_tf"])
    learners = index.layout.learners
    assert Layout.of(about) == Layout.of(shards.manifest.layout.values())
    assert Layout.of(about) == index.layout
    uneven = index.layout != Layout.equal(*index.layout.shape)
    told = json.loads((tmp_path / "out/photos.manifest.json").read_text())
    for values in (about, told):
        assert values["format"] == (2 if uneven else 1)
        assert ("dims" in values) == ("lengths" in values) == uneven
    assert about["weights"] == [1 / learners] * learners
    row = np.array(table.column("embedding")[7].as_py(), np.float32)
    np.testing.assert_array_equal(row, index.layout.joined(index.embeddings[7]))


def test_parquet_since_last_writes_what_has_changed(
    index, handed, tmp_path, monkeypatch
):
    monkeypatch.setattr(files, "_SHARD", 100)
    prefix = str(tmp_path / "photos")
    handed("parquet", prefix)
    before = os.stat(f"{prefix}-00000.parquet").st_mtime_ns
    index.label([250], "dog")
    assert handed("parquet", prefix, since_last=True).sent == 100
    assert os.stat(f"{prefix}-00000.parquet").st_mtime_ns == before
    index.remove(range(150, 301))
    assert handed("parquet", prefix, since_last=True).sent == 49
    assert not os.path.exists(f"{prefix}-00002.parquet")
    rows = [row for shard in range(2) for row in Shards(prefix).read(shard)[0]]
    assert len(rows) == 149


def test_a_copy_keeps_its_own_label_and_time(index, handed, tmp_path):
    with index._writing() as connection:
        connection.execute(
            "INSERT INTO photo (path, size, mtime_ns, content, label) "
            "VALUES ('/other/x.jpg', 999, 9, 1, 'zebra')"
        )
        connection.execute("UPDATE photo SET path = CAST(path AS BLOB)")
    prefix = str(tmp_path / "photos")
    assert handed("parquet", prefix).sent == 301
    rows = {row.path: row for row in Shards(prefix).read(0)[0]}
    told = {path: (row.label, row.mtime_ns) for path, row in rows.items()}
    assert told["/other/x.jpg"] == ("zebra", 9)
    assert told["/photos/00000.jpg"] == ("ant", 7)
    # What is of another time goes over again.
    with index._writing() as connection:
        connection.execute("UPDATE photo SET mtime_ns = 10 WHERE label = 'zebra'")
    assert handed("parquet", prefix, since_last=True).sent == 301


def test_shards_that_a_killed_process_has_left_go(index, handed, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_SHARD", 100)
    prefix = str(tmp_path / "photos")
    handed("parquet", prefix)
    (tmp_path / "photos-00007.parquet").write_bytes(b"of before")
    (tmp_path / "photos-of-mine.parquet").write_bytes(b"mine")
    handed("parquet", prefix, since_last=True)
    left = sorted(path.name for path in tmp_path.glob("*.parquet"))
    assert left == [*(f"photos-0000{n}.parquet" for n in range(3))] + [
        "photos-of-mine.parquet"
    ]


@pytest.mark.parametrize(
    "to, at, said",
    [
        ("qdrant", "postgresql://u:secret@h/db", "--at of --to=qdrant must be http://"),
        ("faiss", "http://h:6333", "--at of --to=faiss must be a folder"),
        ("npz", "gs://bucket/x.npz", "--at of --to=npz must be a file"),
        ("pgvector", "http://u:secret@h/db", "--at of --to=pgvector must be postgres"),
    ],
)
def test_a_place_of_another_kind_is_refused_without_its_password(to, at, said, handed):
    with pytest.raises(InputError) as refused:
        handed(to, at)
    assert said in str(refused.value) and "secret" not in str(refused.value)


def test_a_name_is_one_that_every_database_takes(handed):
    with pytest.raises(InputError, match="--name must begin with a letter"):
        handed("pgvector", "postgresql://h/db", name="50%")


def test_a_file_of_another_kind_or_place_is_said_so(index, handed, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="--at must be a new file"):
        handed("npz", tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "mine"
    with pytest.raises(InputError, match="--at must be where files can be written"):
        handed("parquet", tmp_path / "notes.txt" / "photos")
    index.remove(range(301))
    with pytest.raises(InputError, match="--index must hold photos that are there"):
        handed("npz", tmp_path / "one.npz")


def test_npz_is_what_evaluate_reads(index, handed, tmp_path):
    path = str(tmp_path / "out/index.npz")
    assert handed("npz", path).sent == 300
    kept, arrays = archive.load_all(path)
    np.testing.assert_array_equal(kept.queries.learner_embeddings, index.embeddings)
    assert kept.class_names == ("", "ant", "bee", "cat")
    assert kept.queries.name(1) == "/photos/00001.jpg"
    assert kept.class_names[kept.queries.labels[1]] == "bee"
    np.testing.assert_array_equal(arrays["weights"], [0.25] * 4)
    before = os.stat(path).st_mtime_ns
    assert handed("npz", path, since_last=True).sent == 0
    assert os.stat(path).st_mtime_ns == before
    index.remove([1])
    assert handed("npz", path, since_last=True).sent == 299


@pytest.mark.parametrize("to", ["npz", "parquet"])
def test_files_of_another_index_stay(to, index, handed, tmp_path):
    at = str(tmp_path / "one.npz")
    handed(to, at)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("one*")}
    with index._writing() as connection:
        connection.execute("UPDATE content SET digest = x'ff' WHERE id = 1")
    with pytest.raises(InputError, match="A target holds one index"):
        handed(to, at)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.glob("one*")}
    assert before and after == before


def test_an_archive_of_another_kind_stays(index, handed, tmp_path):
    np.savez(tmp_path / "mine.npz", embeddings=np.eye(3), labels=["a", "a", "b"])
    with pytest.raises(InputError, match="--at must be a new file"):
        handed("npz", tmp_path / "mine.npz")


def test_an_empty_index_is_refused(index, handed, tmp_path):
    with index._writing() as connection:
        connection.execute("DELETE FROM photo")
        connection.execute("DELETE FROM content")
    with pytest.raises(InputError, match="--index must hold photos"):
        handed("npz", tmp_path / "one.npz")


@both_layouts
@pytest.mark.slow
def test_faiss_and_the_re_ranking_give_ours(index, handed, tmp_path):
    pytest.importorskip("faiss", reason="needs requirements-engines.txt")
    folder = str(tmp_path / "faiss")
    # Called like what we leave when killed, and somebody's.
    (tmp_path / "incomplete-scans").mkdir()
    (tmp_path / "incomplete-scans" / "mine.txt").write_text("mine")
    assert handed("faiss", folder).sent == 300
    index.remove([6, 7])
    index.add(5)
    assert handed("faiss", folder, since_last=True).sent == 303
    assert handed("faiss", folder, since_last=True).sent == 0
    for query in [*index.random(3), index.embeddings[9]]:
        ours, distances = index.nearest(query, 10, without=(6, 7))
        found = faiss_folder.Folder(folder).nearest(query, 10, 303)
        assert [number for number, _, _ in found] == ours
        np.testing.assert_allclose([far for _, far, _ in found], distances, atol=1e-6)
        assert [path for _, _, path in found] == [
            f"/photos/{n - 1:05d}.jpg" for n in ours
        ]
    assert (tmp_path / "incomplete-scans" / "mine.txt").exists()
    with open(f"{folder}/photos.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 303


def test_handing_over_starts_without_tensorflow():
    code = (
        "import sys, abe_tf.hand_over; from abe_tf.engines import faiss_folder, "
        "pgvector, qdrant, qdrant_folder; print('tensorflow' in sys.modules)"
    )
    run = [sys.executable, "-c", code]
    found = subprocess.run(run, capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "False"
