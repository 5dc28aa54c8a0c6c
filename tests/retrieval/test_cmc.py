"""CMC and mean average precision against the whole ranking, sorted by NumPy."""

import numpy as np
import pytest

from abe_tf.retrieval import archive
from abe_tf.retrieval.archive import Archive
from abe_tf.retrieval.cmc import measure_cmc
from abe_tf.retrieval.embedded import Embedded
from abe_tf.retrieval.evaluation import evaluate
from abe_tf.retrieval.matrix import DistanceMatrix


def drawn(seed, count, classes=6, cameras=3, learners=2):
    rng = np.random.default_rng(seed)
    # Few directions, so that many distances are equal, and no others nearly so.
    angles = np.radians(30 * rng.integers(0, 5, [count, learners]))
    x = np.stack([np.cos(angles), np.sin(angles)], -1)
    labels = rng.integers(0, classes, count)
    names = None if cameras is None else rng.integers(0, cameras, count).astype(str)
    return Embedded(x.astype(np.float32), labels, cameras=names)


def exhaustive(queries, gallery, kind):
    """One query after the other; negatives before positives of the same distance."""
    same = gallery is None
    gallery = queries if same else gallery
    measured = []
    for query in range(len(queries)):
        apart = queries.learner_embeddings[query] - gallery.learner_embeddings
        squares = (apart.astype(np.float64) ** 2).sum(-1)
        distance = np.sqrt(squares).mean(-1) if kind == "ensemble" else squares.sum(-1)
        relevant = gallery.labels == queries.labels[query]
        out = np.zeros(len(gallery), bool)
        if queries.cameras is not None:
            out = relevant & (gallery.cameras == queries.cameras[query])
        if same:
            out[query] = True
        order = np.argsort(distance + np.where(relevant, 1e-5, 0))
        hits = relevant[order][~out[order]]
        if hits.any():
            places = np.flatnonzero(hits)
            precision = np.arange(1, len(places) + 1) / (places + 1)
            cmc = [hits[:k].any() for k in (1, 5, 10)]
            measured.append([*cmc, precision.mean()])
    return 100 * np.mean(measured, 0), len(measured)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("with_gallery", [False, True])
@pytest.mark.parametrize("cameras", [None, 3])
def test_equals_the_exhaustive_ranking(seed, with_gallery, cameras):
    queries = drawn(seed, 60, cameras=cameras)
    gallery = drawn(seed + 10, 90, cameras=cameras) if with_gallery else None
    # Several portions of rows.
    matrix = DistanceMatrix.of(queries, gallery)
    found = measure_cmc(matrix, queries, gallery, 22)
    assert found == measure_cmc(matrix, queries, gallery, 1)
    for kind in ("ensemble", "concatenated"):
        expected, count = exhaustive(queries, gallery, kind)
        np.testing.assert_allclose(list(found[kind].values()), expected, rtol=1e-6)
        assert found["queries"] == count
    assert found["cameras"] == (cameras is not None)


def embedded(places, labels, cameras):
    angles = np.radians(places)
    x = np.stack([np.cos(angles), np.sin(angles)], -1)[:, np.newaxis]
    return Embedded(x.astype(np.float32), np.array(labels), cameras=np.array(cameras))


def test_the_own_camera_is_left_out_for_the_own_class_alone():
    # Its nearest is by its camera, the next another class by its camera.
    queries = embedded([0], [0], ["a"])
    gallery = embedded([1, 2, 3, 50], [0, 1, 0, 0], ["a", "a", "b", "b"])
    found = measure_cmc(DistanceMatrix.of(queries, gallery), queries, gallery, 512)
    assert found["ensemble"]["cmc@1"] == 0 and found["ensemble"]["cmc@5"] == 100
    assert found["ensemble"]["map"] == pytest.approx(100 * (1 / 2 + 2 / 3) / 2)


def test_a_query_with_nothing_to_find_is_counted_apart():
    queries = embedded([0, 90], [0, 1], ["a", "a"])
    gallery = embedded([1, 91], [0, 1], ["b", "a"])
    found = measure_cmc(DistanceMatrix.of(queries, gallery), queries, gallery, 512)
    assert (found["queries"], found["without"]) == (1, 1)
    assert found["ensemble"]["map"] == 100
    alone = embedded([0, 90], [0, 1], ["a", "a"])
    counts = {"queries": 0, "without": 2, "cameras": True}
    assert measure_cmc(DistanceMatrix.of(alone), alone, None, 512) == counts


def test_a_camera_that_nobody_knows_is_no_others():
    queries = embedded([0], [0], [""])
    gallery = embedded([1, 2], [0, 0], ["", "a"])
    found = measure_cmc(DistanceMatrix.of(queries, gallery), queries, gallery, 512)
    assert found["ensemble"]["map"] == 100 and found["queries"] == 1


def test_a_tie_counts_against_the_query():
    queries = embedded([0], [0], ["a"])
    gallery = embedded([10, -10], [0, 1], ["b", "b"])
    found = measure_cmc(DistanceMatrix.of(queries, gallery), queries, gallery, 512)
    assert found["ensemble"]["cmc@1"] == 0
    assert found["ensemble"]["map"] == 50


def test_very_many_pairs_are_ranked_only_for_cameras(monkeypatch):
    monkeypatch.setattr("abe_tf.retrieval.cmc.MOST_PAIRS", 10)
    plain, seen = drawn(0, 20, cameras=None), drawn(0, 20)
    assert measure_cmc(DistanceMatrix.of(plain), plain, None, 512) is None
    assert measure_cmc(DistanceMatrix.of(seen), seen, None, 512) is not None


def test_cameras_lie_in_the_file(tmp_path):
    path = str(tmp_path / "seen.npz")
    names = ("a", "b", "c", "d", "e", "f")
    written = Archive(drawn(0, 40), drawn(1, 40), names, {})
    archive.save(path, written)
    read = archive.load(path)
    np.testing.assert_array_equal(read.queries.cameras, written.queries.cameras)
    np.testing.assert_array_equal(read.gallery.cameras, written.gallery.cameras)
    ours, theirs = (evaluate(one, (1,), 512, False).cmc for one in (written, read))
    assert ours == theirs and ours["cameras"]
