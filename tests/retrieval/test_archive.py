import io
import zipfile

import numpy as np
import pytest

from abe_tf.errors import InputError
from abe_tf.retrieval import archive
from abe_tf.retrieval.embedded import Embedded


def embedded(images, seed=0, labels=None):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=[images, 2, 3]).astype("f")
    labels = rng.integers(2, 4, images) if labels is None else labels
    return Embedded(x, labels, [f"{seed}/{i}.jpg" for i in range(images)])


def test_what_is_saved_is_loaded_again(tmp_path):
    names = ("a", "b", "c", "d")
    about = {"dataset": "cars196", "fingerprint": "0123"}
    saved = archive.Archive(embedded(5), embedded(7, 1), names, about)
    archive.save(str(tmp_path / "x.npz"), saved)
    loaded = archive.load(str(tmp_path / "x.npz"))
    assert loaded.about == about
    for ours, theirs in (
        (loaded.queries, saved.queries),
        (loaded.gallery, saved.gallery),
    ):
        x, y = ours.learner_embeddings, theirs.learner_embeddings
        np.testing.assert_array_equal(x, y)
        assert ours.names == theirs.names
        classes = [loaded.class_names[label] for label in ours.labels]
        assert classes == [names[label] for label in theirs.labels]
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_arrays_of_other_tools_are_enough(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=[6, 4]).astype(np.float16)
    path = tmp_path / "x.npz"
    np.savez(path, embeddings=x, labels=np.array(["cat", "dog"] * 3))
    loaded = archive.load(str(path))
    assert loaded.queries.learner_embeddings.shape == (6, 1, 4)
    assert loaded.class_names == ("cat", "dog")
    assert loaded.gallery is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"embeddings": np.ones([3, 2])}, "must hold labels"),
        ({"embeddings": np.ones([3, 2], int), "labels": [0, 1, 2]}, "floating point"),
        ({"embeddings": np.ones([3, 2]), "labels": [0, 1]}, "one label an embedding"),
        ({"embeddings": np.ones([3, 2]), "labels": 1}, "one label an embedding"),
        ({"embeddings": np.ones([2, 2]), "labels": [0.0, 1.0]}, "a whole number or"),
        ({"embeddings": np.ones(3), "labels": [0, 1, 1]}, r"\[images, dim\]"),
        ({"embeddings": np.ones([2, 2]), "labels": [0, 0], "ids": ["a"]}, "one id an"),
        (
            {
                "embeddings": np.ones([3, 2]),
                "labels": [1, 2, 3],
                "class_names": ["a", "b", "c"],
            },
            "labels 1 to 3 with class_names .* Subtract 1",
        ),
        (
            {
                "embeddings": np.ones([2, 2]),
                "labels": [-1, 0],
                "class_names": ["a", "b"],
            },
            "labels -1 to 0",
        ),
        ({"embeddings": np.ones([0, 2]), "labels": []}, "at least one image"),
        (
            {
                "embeddings": np.ones([3, 2]),
                "labels": [0, 1, 1],
                "gallery_embeddings": np.ones([0, 2]),
                "gallery_labels": [],
            },
            "at least one image",
        ),
        (
            {
                "embeddings": np.array([[1.0, 1], [np.nan, 1], [1, np.inf]]),
                "labels": [0, 1, 1],
                "ids": np.array(["p.jpg", "q.jpg", "r.jpg"]),
            },
            "2 that are not, of q.jpg, r.jpg",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(InputError, match=message):
        archive.load(str(tmp_path / "x.npz"))


def packed(name, content, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def array(values):
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def a_header_of(rows):
    """An array that states more rows than it has."""
    whole = array(np.zeros([4, 4], np.float32))
    stated = f"{rows}, 4), }}".encode()
    header = whole[: whole.index(b"\n") + 1].replace(b"4, 4), }", stated)
    spare = len(stated) - len(b"4, 4), }")
    return header.replace(b" " * spare + b"\n", b"\n", 1) + bytes(64)


def damaged():
    whole = bytearray(packed("labels.npy", array(np.arange(999)), zipfile.ZIP_DEFLATED))
    whole[100:120] = b"\xff" * 20
    return bytes(whole)


def encrypted():
    whole = bytearray(packed("labels.npy", array(np.arange(9))))
    for place in (6, whole.index(b"PK\1\2") + 8):
        whole[place] |= 1
    return bytes(whole)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"no archive", b"PK\x03\x04torn"),
        *(array(np.zeros([3, 4], np.float32)), damaged(), encrypted()),
        packed("embeddings.npy", a_header_of(10**12)),
        packed("embeddings.npy", array(np.zeros([4, 4]))[:-8]),
        packed("embeddings.npy", b"no array"),
        packed("notes.txt", b"no array"),
    ],
)
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(InputError, match="must be an .npz file"):
        archive.load(str(tmp_path / "x.npz"))


def test_evaluation_of_a_file_is_that_of_the_arrays(tmp_path, run_command):
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 5
    x = rng.normal(size=[5, 8])[labels] + rng.normal(size=[40, 8])
    path = tmp_path / "x.npz"
    np.savez(path, embeddings=x.astype("f"), labels=labels)
    result = run_command("abe_tf.evaluate", f"--embeddings={path}")
    distances = np.linalg.norm(x[:, np.newaxis] - x, axis=-1)
    np.fill_diagonal(distances, np.inf)
    recall = 100 * np.mean(labels[distances.argmin(1)] == labels)
    assert f"{recall:.1f}" in result.stdout.splitlines()[2]
    assert "precision up to there" in result.stdout
