"""Formats of version 1 that stay readable, and a checkpoint that is not ours."""

import json
import tarfile

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.errors import InputError
from abe_tf.photo_index import database, searching, taking_in
from abe_tf.retrieval.calibration import Calibration
from abe_tf.retrieval.shards import Manifest, Shards
from abe_tf.storage.restoring import restore
from tests.conftest import ROOT
from tests.helpers.synthetic import SyntheticIndex

GOLDENS = ROOT / "tests" / "goldens"


def test_a_calibration_of_format_1_says_what_it_said():
    text = (GOLDENS / "calibration_1.json").read_text()
    fitted = Calibration.parse(text)
    distances = np.array([0.3, 0.8, 0.9, 1.0, 1.1, 1.5])
    said = fitted.probability(distances, base_rate=0.01)
    expected = [0.571428571, 0.562506855, 0.483004735]
    expected += [0.129922711, 0.02620496, 0.000420698]
    np.testing.assert_allclose(said, expected, atol=1e-8)
    assert Calibration.parse(fitted.text()) == fitted


@pytest.fixture
def shards(tmp_path):
    with tarfile.open(GOLDENS / "shards_1.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return Shards(str(tmp_path / "photos"))


def test_shards_of_format_1_are_read(shards):
    manifest = shards.manifest
    told = (*manifest.layout.shape, manifest.weights, manifest.photos)
    assert told == (2, 4, (0.5, 0.5), 12)
    rows, embeddings = shards.read(0)
    assert [row.path for row in rows] == [f"/photos/{n:05d}.jpg" for n in range(12)]
    assert (rows[1].label, rows[3].label, rows[1].mtime_ns) == ("bee", None, 7)
    assert rows[1].id == (1).to_bytes(32, "big")
    expected = [0.605352, 0.062991, -0.498167, -0.617584]
    np.testing.assert_allclose(embeddings[3, 0], expected, atol=1e-6)
    assert list(shards.broken()) == [("/photos/x.jpg", "cannot be read, truly")]


def test_an_index_takes_them_in_beside_what_it_has(shards, tmp_path):
    index = SyntheticIndex(tmp_path / "index", 5, learners=2, dim=4)
    index.label([2], "said by me")
    with database.opened(index.folder, write=True) as connection:
        taking_in.check(shards, connection)
        tally = taking_in.take_in(index.folder, connection, shards, quiet=True)
        # What is known of a later date stays as it is.
        connection.execute(
            "UPDATE photo SET mtime_ns = 8, label = 'later' WHERE id = 1"
        )
        again = taking_in.take_in(index.folder, connection, shards, quiet=True)
    assert (tally.unchanged, tally.added, len(tally.broken)) == (5, 8, 1)
    assert (again.unchanged, again.added, again.changed) == (12, 0, 0)
    with searching.moment(index.folder) as now:
        assert len(now.rows()) == 12
        _, embeddings = shards.read(0)
        hits = {now.photos([row])[0].places[0]: row for row in now.rows()}
        by_path = {place.path: row for place, row in hits.items()}
        labels = {place.path: place.label for place in hits}
        np.testing.assert_array_equal(
            now.embedding(by_path["/photos/00009.jpg"]), embeddings[9]
        )
    assert labels["/photos/00000.jpg"] == "later"
    assert labels["/photos/00001.jpg"] == "said by me"
    assert labels["/photos/00009.jpg"] == "bee"


def test_what_was_edited_or_went_since_stays_so(shards, tmp_path):
    index = SyntheticIndex(tmp_path / "index", 12, learners=2, dim=4)
    with database.opened(index.folder, write=True) as connection:
        # One was edited: another content, of a later time. One is gone. One was
        # unreadable, and the shard has it.
        connection.execute("UPDATE content SET digest = x'aa' WHERE id = 1")
        connection.execute("UPDATE photo SET mtime_ns = 8 WHERE id = 1")
        connection.execute("UPDATE photo SET gone = 1 WHERE id = 2")
        connection.execute("UPDATE content SET row = NULL, reason = 'x' WHERE id = 3")
        tally = taking_in.take_in(index.folder, connection, shards, quiet=True)
        again = taking_in.take_in(index.folder, connection, shards, quiet=True)
        (rows,) = connection.execute("SELECT value FROM about WHERE key = 'rows'")
    assert (tally.unchanged, tally.changed) == (11, 1)
    assert (again.unchanged, again.added, again.changed) == (12, 0, 0)
    # An embedding more, of what could not be read; none that belongs to nothing.
    assert int(rows["value"]) == 13
    with searching.moment(index.folder) as now:
        paths = {now.photos([row])[0].places[0].path for row in now.rows() if row != 2}
    assert "/photos/00001.jpg" not in paths and "/photos/00002.jpg" in paths


def test_shards_of_another_model_or_format_are_refused(shards, tmp_path):
    index = SyntheticIndex(tmp_path / "index", 5, learners=2, dim=4)
    with database.opened(index.folder, write=True) as connection:
        with database.transaction(connection):
            database.tell(connection, {"fingerprint": "another"})
        with pytest.raises(InputError, match="must be by the model of the index"):
            taking_in.check(shards, connection)
    path = tmp_path / "photos.manifest.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "format": 3}))
    with pytest.raises(
        InputError, match="^A manifest must be of format 2 or older. Received: .* 3"
    ):
        Shards(str(tmp_path / "photos"))
    path.write_text(json.dumps({**values, "fingerprint": "another"}))
    with pytest.raises(InputError, match="A shard must be what abe_tf.embed wrote"):
        Shards(str(tmp_path / "photos")).read(0)
    path.write_text("{}")
    with pytest.raises(InputError, match="A manifest must be what abe_tf.embed wrote"):
        Manifest.parse(path.read_bytes(), "here")


@pytest.mark.parametrize("ours", [True, False])
def test_a_checkpoint_of_keras_3_is_told_from_one_of_another_network(tmp_path, ours):
    with tarfile.open(GOLDENS / "keras_3.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    path = tmp_path / "checkpoint"
    inputs = tf.keras.Input([4])
    network = tf.keras.Model(inputs, tf.keras.layers.Dense(3)(inputs))
    said = "must be of Keras 2, abe_tf's on every TensorFlow"
    if ours:
        path = tmp_path / "ours"
        other = tf.keras.Model(inputs, tf.keras.layers.Dense(2)(inputs))
        tf.train.Checkpoint(network=other).write(str(path / "weights"))
        said = "must be of the network in its run's flags.cfg"
    with pytest.raises(InputError, match=said) as raised:
        restore(tf.train.Checkpoint(network=network), str(path))
    assert "emove" not in str(raised.value)
