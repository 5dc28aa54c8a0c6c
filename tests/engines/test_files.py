"""What is handed over as files, and what stays as it is."""

import csv
import json
import os

import numpy as np
import pyarrow.parquet as pq
import pytest

from abe_tf.engines import faiss_folder, files
from abe_tf.errors import InputError
from abe_tf.retrieval import archive
from abe_tf.retrieval.shards import Shards


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
    assert table.column("embedding").type.list_size == 32
    about = json.loads(table.schema.metadata[b"abe_tf"])
    assert (about["learners"], about["dim"], about["weights"]) == (4, 8, [0.25] * 4)


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
    before = {one: (tmp_path / one).stat() for one in os.listdir(tmp_path)}
    with index._writing() as connection:
        connection.execute("UPDATE content SET digest = x'ff' WHERE id = 1")
    with pytest.raises(InputError, match="A target holds one index"):
        handed(to, at)
    assert {one: (tmp_path / one).stat() for one in os.listdir(tmp_path)} == before


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


@pytest.mark.slow
def test_faiss_and_the_re_ranking_give_ours(index, handed, tmp_path):
    pytest.importorskip("faiss", reason="needs requirements-engines.txt")
    folder = str(tmp_path / "faiss")
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
    with open(f"{folder}/photos.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 303
