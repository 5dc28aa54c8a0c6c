"""Recall and the measures of a ranking against full rankings in float64."""

import numpy as np
import pytest

from abe_tf.retrieval.embedded import Embedded
from abe_tf.retrieval.matrix import DistanceMatrix
from abe_tf.retrieval.measures import KINDS, measure_ranking
from abe_tf.retrieval.nearest import nearest_images
from abe_tf.retrieval.ranks import (
    Multiplication,
    nearest_positive_ranks,
    on_tensorflow,
)
from abe_tf.retrieval.recall import measure_recall
from tests.retrieval import oracle

KS = (1, 3, 10, 1000)


def grid(rng, images, learners=3, dim=1):
    """Coordinates of multiples of 1/16: distances are exact where dim is 1."""
    return rng.integers(-8, 9, [images, learners, dim]) / 16


def random(rng):
    return grid(rng, 70), rng.integers(0, 9, 70)


def tied(rng):
    return rng.integers(0, 2, [60, 2, 1]) / 16, rng.integers(0, 4, 60)


def duplicated(rng):
    """Every image twice, half of the copies with another label."""
    x, labels = random(rng)
    copies = np.where(rng.random(70) < 0.5, labels, (labels + 1) % 9)
    return np.concatenate([x, x]), np.concatenate([labels, copies])


def collapsed(rng):
    return np.repeat(grid(rng, 1, dim=7), 50, 0), rng.integers(0, 5, 50)


def one_class(rng):
    return grid(rng, 40), np.zeros(40, int)


def classes_of_one_image(rng):
    return grid(rng, 40), np.arange(40)


def some_alone(rng):
    return grid(rng, 30), np.array([0] * 20 + list(range(1, 11)))


CASES = (
    *(random, tied, duplicated, collapsed, one_class, classes_of_one_image),
    some_alone,
)


def assert_as_the_oracle(queries, labels, block, gallery=None, gallery_labels=None):
    """All measures are the oracle's."""
    searched = None if gallery is None else Embedded(gallery, gallery_labels)
    measured = measure_recall(Embedded(queries, labels), KS, block, searched)
    *learners, ensemble, concatenated = (
        oracle.ranked_relevance(distances, labels, gallery_labels)
        for distances in oracle.distance_matrices(queries, gallery)
    )
    for k in KS:
        assert measured.ensemble[k] == pytest.approx(oracle.recall(ensemble, k))
        assert measured.concatenated[k] == pytest.approx(oracle.recall(concatenated, k))
        for ours, theirs in zip(measured.by_learner, learners, strict=True):
            assert ours[k] == pytest.approx(oracle.recall(theirs, k))
    matrix = DistanceMatrix.of(Embedded(queries, labels), searched)
    nearest = nearest_positive_ranks(matrix, block, KINDS)
    ranking = measure_ranking(matrix, nearest, block)
    for kind, ranked in (("ensemble", ensemble), ("concatenated", concatenated)):
        assert ranking[kind] == pytest.approx(oracle.ranking_measures(ranked))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("block", [7, 1024])
@pytest.mark.parametrize("case", CASES)
def test_exact_ties_are_ranked_as_by_hand(case, block, dtype):
    for seed in range(3):
        queries, labels = case(np.random.default_rng(seed))
        assert_as_the_oracle(queries.astype(dtype), labels, block)


@pytest.mark.parametrize("block", [5, 1024])
def test_a_gallery_of_its_own(block):
    rng = np.random.default_rng(0)
    queries, labels = random(rng)
    gallery, gallery_labels = duplicated(rng)
    # One class of the queries is not in the gallery.
    gallery_labels = np.where(gallery_labels == 3, 99, gallery_labels)
    assert_as_the_oracle(queries, labels, block, gallery, gallery_labels)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_unit_vectors_are_ranked_as_in_float64_but_for_close_calls(dtype):
    rng = np.random.default_rng(1)
    labels = np.arange(300) % 40
    x = rng.normal(size=[40, 4, 16])[labels] + rng.normal(size=[300, 4, 16])
    x = (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(dtype)
    ranks = nearest_positive_ranks(DistanceMatrix.of(Embedded(x, labels)), 64)
    excepted = 0
    for kind, distances in zip(ranks, oracle.distance_matrices(x), strict=True):
        close = oracle.close_calls(distances, labels)
        excepted += close.sum()
        for query, relevant in enumerate(oracle.ranked_relevance(distances, labels)):
            if not close[query]:
                assert kind[query] == np.argmax(relevant)
    # Most must be left, or the test says nothing.
    assert excepted < 0.1 * ranks.size


@pytest.mark.parametrize("kinds", [("concatenated",), ("ensemble",), ("learners",)])
def test_a_kind_alone_has_the_ranks_that_it_has_among_all(kinds):
    rng = np.random.default_rng(2)
    embedded = Embedded(rng.normal(size=[90, 3, 8]), rng.integers(0, 20, 90))
    matrix = DistanceMatrix.of(embedded)
    everything = nearest_positive_ranks(matrix, 32)
    rows = {"learners": [0, 1, 2], "ensemble": [3], "concatenated": [4]}
    alone = nearest_positive_ranks(matrix, 32, kinds)
    np.testing.assert_array_equal(alone, everything[rows[kinds[0]]])


@pytest.mark.parametrize("block", [4, 1024])
def test_the_nearest_images_are_those_of_a_full_ranking(block):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=[30, 2, 5]), rng.normal(size=[50, 2, 5])
    embedded = Embedded(x, rng.integers(0, 5, 30))
    distances = oracle.distance_matrices(x)[2]
    np.fill_diagonal(distances, np.inf)
    expected = np.argsort(distances, axis=1)[:, :7]
    found = nearest_images(DistanceMatrix.of(embedded), 7, block)
    np.testing.assert_array_equal(found, expected)
    gallery = Embedded(y, rng.integers(0, 5, 50))
    expected = np.argsort(oracle.distance_matrices(x, y)[2], axis=1)
    found = nearest_images(DistanceMatrix.of(embedded, gallery), 1000, block)
    np.testing.assert_array_equal(found, expected)


def test_a_gpu_would_multiply_the_same():
    rng = np.random.default_rng(4)
    left, right = rng.normal(size=[2, 3, 5, 7]).astype("f")
    np.testing.assert_allclose(
        on_tensorflow(left, right), Multiplication(75)(left, right), rtol=1e-5
    )


@pytest.mark.parametrize("length", [1.0, 10.0, 3e4])
def test_the_noise_of_a_collapsed_model_ranks_nothing(length):
    rng = np.random.default_rng(4)
    point = rng.normal(size=[1, 1, 16])
    point /= np.linalg.norm(point)
    x = (length * (point + 3e-8 * rng.normal(size=[60, 1, 16]))).astype(np.float32)
    recall = measure_recall(Embedded(x, np.repeat(np.arange(6), 10)), (1,))
    assert recall.ensemble[1] == 0


@pytest.mark.parametrize("spread", [3e-5, 3e-4, 3e-3, 1e-1])
def test_unit_vectors_close_to_one_point_are_told_apart(spread):
    rng = np.random.default_rng(3)
    centres = rng.normal(size=[12, 2, 16])
    labels = np.repeat(np.arange(12), 15)
    x = 1 + spread * (centres[labels] + 1.2 * rng.normal(size=[180, 2, 16]))
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    found = measure_recall(Embedded(x, labels), (1, 2, 4))
    *_, ensemble, concatenated = oracle.distance_matrices(x)
    for recall, distances in (
        (found.ensemble, ensemble),
        (found.concatenated, concatenated),
    ):
        ranked = oracle.ranked_relevance(distances, labels)
        for k in (1, 2, 4):
            assert recall[k] == pytest.approx(oracle.recall(ranked, k))
    assert 20 < found.ensemble[1] < 95


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("length", [1e-4, 1.0, 1e3, 3e4])
def test_the_ranking_does_not_depend_on_length_or_place(length, offset):
    """Of vectors of other tools: of any length, around any point."""
    rng = np.random.default_rng(3)
    centres = rng.normal(size=[12, 1, 16])
    labels = np.repeat(np.arange(12), 15)
    x = centres[labels] + 1.2 * rng.normal(size=[180, 1, 16])
    x = length * (x / np.linalg.norm(x, axis=-1, keepdims=True) + offset)
    ranked = oracle.ranked_relevance(oracle.distance_matrices(x)[-2], labels)
    found = measure_recall(Embedded(x, labels), (1, 2, 4))
    for k in (1, 2, 4):
        assert found.ensemble[k] == pytest.approx(oracle.recall(ranked, k))
    assert 20 < found.ensemble[1] < 95
