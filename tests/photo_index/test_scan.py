"""The nearest rows are those of a scan in float64, whatever the codes leave out."""

import numpy as np
import pytest

from abe_tf.layout import Layout
from abe_tf.photo_index import bounds, scan, vectors


def unit(rng, *shape):
    values = rng.normal(size=shape)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def classes(seed, rows=3000, learners=4, dim=16, spread=0.3):
    """Kinds of unequal size, each learner with centres of its own."""
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, 41)
    kinds = rng.choice(40, rows, p=shares / shares.sum())
    centres = unit(rng, 40, learners, dim)
    found = centres[kinds] + spread * rng.normal(size=[rows, learners, dim])
    found /= np.linalg.norm(found, axis=-1, keepdims=True)
    return found.astype(np.float32)


def near_copies(seed):
    found = classes(seed, rows=1000)
    rng = np.random.default_rng(seed)
    copies = found[7] + 1e-4 * rng.normal(size=[500, *found.shape[1:]])
    copies /= np.linalg.norm(copies, axis=-1, keepdims=True)
    return np.concatenate([found, copies.astype(np.float32)])


def one_many_times(seed):
    found = classes(seed, rows=500)
    return np.concatenate([found, np.repeat(found[3:4], 300, 0), found])


def one_hot(seed):
    """What codes hold exactly, and others where all numbers are alike."""
    found = np.zeros([64, 2, 32], np.float32)
    found[np.arange(64), :, np.arange(64) % 32] = 1
    flat = np.full([8, 2, 32], 1 / np.sqrt(32), np.float32)
    flat[:, :, seed % 32] *= -1
    return np.concatenate([found, flat])


def segments(embeddings, size=700, layout=None):
    layout = layout or Layout.equal(*embeddings.shape[1:])
    return [
        vectors.Segment(first, part, *bounds.encoded(part, layout), layout)
        for first in range(0, len(embeddings), size)
        for part in [embeddings[first : first + size]]
    ]


def oracle(embeddings, query, count, wanted):
    """By NumPy in float64; equal distances by row."""
    squares = np.square(embeddings.astype(np.float64) - query.astype(np.float64))
    distances = np.sqrt(squares.sum(-1)).mean(-1)
    distances[~wanted] = np.inf
    order = np.argsort(distances, kind="stable")[: min(count, wanted.sum())]
    return order, distances[order]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("make", [classes, near_copies, one_many_times, one_hot])
@pytest.mark.parametrize("share", [1.0, 0.1])
def test_the_nearest_are_those_of_a_whole_scan(make, seed, share):
    embeddings = make(seed)
    rng = np.random.default_rng(seed)
    wanted = rng.random(len(embeddings)) < share
    for number in rng.integers(0, len(embeddings), 5):
        query = embeddings[number]
        rows, distances = scan.nearest(segments(embeddings), query, 10, wanted)
        expected, theirs = oracle(embeddings, query, 10, wanted)
        # Numbers that differ in float64's last digits may change places.
        np.testing.assert_allclose(distances, theirs, rtol=0, atol=1e-12)
        if np.all(np.diff(theirs) > 1e-12) or make is one_many_times:
            np.testing.assert_array_equal(rows, expected)


@pytest.mark.parametrize("seed", range(3))
def test_learners_that_differ_are_found_as_by_a_whole_scan(seed):
    layout = Layout.weighted([16, 24, 40], [1, 2, 7])
    rng = np.random.default_rng(seed)
    x = layout.apart(rng.normal(size=[3_000, layout.size]))
    x += layout.apart(rng.normal(size=[40, layout.size]))[np.arange(3_000) % 40]
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    embeddings = (x * np.array(layout.lengths)[:, np.newaxis]).astype(np.float32)
    everywhere = np.ones(len(embeddings), bool)
    for number in rng.integers(0, len(embeddings), 5):
        query = embeddings[number]
        parts = segments(embeddings, layout=layout)
        rows, distances = scan.nearest(parts, query, 10)
        expected, theirs = oracle(embeddings, query, 10, everywhere)
        np.testing.assert_allclose(distances, theirs, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(rows, expected)
        coded = parts[0].bounds[:, 1]
        assert coded.max() < 0.1


def test_threads_find_the_same():
    embeddings = classes(0, rows=2 * scan._WORTH_A_THREAD + 7, learners=2, dim=8)
    parts = segments(embeddings, size=9_999)
    alone = scan.nearest(parts, embeddings[5], 20, workers=1)
    together = scan.nearest(parts, embeddings[5], 20, workers=2)
    np.testing.assert_array_equal(alone[0], together[0])
    np.testing.assert_array_equal(alone[1], together[1])


@pytest.mark.parametrize("dim", [8, 64, 2048])
@pytest.mark.parametrize("seed", range(3))
def test_codes_are_never_further_off_than_they_say(dim, seed):
    rng = np.random.default_rng(seed)
    embeddings = unit(rng, 50, 2, dim).astype(np.float32)
    embeddings[0] = 1 / np.sqrt(dim)
    query = unit(rng, 2, dim).astype(np.float32) if seed else embeddings[0]
    codes, limits = bounds.encoded(embeddings, Layout.equal(2, dim))
    query_codes, query_limits = bounds.encoded_query(query, Layout.equal(2, dim))
    products = (codes.astype(np.int64) * query_codes).sum(-1)
    assert np.abs(products).max() < 2**31
    coded = products * limits[:, :1].astype(np.float64) * query_limits[0]
    exact = (embeddings.astype(np.float64) * query).sum(-1)
    allowed = limits[:, 1:] + query_limits[1]
    assert np.all(np.abs(coded - exact) <= allowed)
    # And tell something: an 8-bit code is off by a hundredth, not by a tenth.
    assert allowed.max() < 0.03


def test_fewer_rows_than_asked_for_are_all_of_them():
    embeddings = classes(0, rows=5)
    rows, _ = scan.nearest(segments(embeddings), embeddings[2], 10)
    assert sorted(rows) == [0, 1, 2, 3, 4]
    nothing = np.zeros(5, bool)
    assert len(scan.nearest(segments(embeddings), embeddings[2], 10, nothing)[0]) == 0
    assert len(scan.nearest([], embeddings[2], 10)[0]) == 0


@pytest.mark.slow
def test_two_hundred_thousand_with_near_copies_and_one_image_many_times():
    embeddings = classes(0, rows=194_000, learners=8, dim=64, spread=0.08)
    rng = np.random.default_rng(0)
    near = embeddings[11] + 1e-4 * rng.normal(size=[5000, 8, 64])
    near /= np.linalg.norm(near, axis=-1, keepdims=True)
    many = np.repeat(embeddings[12:13], 1000, 0)
    embeddings = np.concatenate([embeddings, near.astype(np.float32), many])
    parts = segments(embeddings, size=vectors.SEGMENT_ROWS)
    for number, share in ((11, 1.0), (12, 1.0), (500, 1.0), (11, 0.1), (700, 0.1)):
        wanted = rng.random(len(embeddings)) < share
        query = embeddings[number]
        rows, distances = scan.nearest(parts, query, 10, wanted)
        expected, theirs = oracle(embeddings, query, 10, wanted)
        np.testing.assert_allclose(distances, theirs, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(rows, expected)
