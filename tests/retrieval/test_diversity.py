import itertools

import numpy as np
import pytest
from sklearn import cluster, metrics

from abe_tf.retrieval import clustering, correlation, diversity, spectrum
from abe_tf.retrieval.embedded import Embedded
from abe_tf.retrieval.matrix import DistanceMatrix
from abe_tf.retrieval.similarity import HISTOGRAM_BINS, similarity_histograms
from tests.retrieval import oracle


def unit(rng, *shape):
    x = rng.normal(size=shape)
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype("f")


def test_sub_ensembles_are_ensembles_of_their_learners():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 12
    x = unit(rng, 12, 3, 6)[labels] + 0.3 * unit(rng, 60, 3, 6)
    subsets = diversity.subsets_of(3)
    assert len(subsets) == 7
    matrix = DistanceMatrix.of(Embedded(x, labels))
    found = diversity.sub_ensemble_recall(matrix, subsets, block=8)
    for subset, recall in zip(subsets, found, strict=True):
        distances = oracle.distance_matrices(x[:, list(subset)])[-2]
        ranked = oracle.ranked_relevance(distances, labels)
        assert recall == pytest.approx(oracle.recall(ranked, 1))


def test_all_subsets_of_8_and_a_sample_of_12():
    assert len(diversity.subsets_of(8)) == 255
    found = diversity.subsets_of(12)
    sizes = [len(subset) for subset in found]
    assert len(set(found)) == len(found)
    assert [sizes.count(size) for size in (1, 2, 6, 11, 12)] == [12, 66, 70, 12, 1]


def test_error_correlation_is_pearson_of_misses():
    ranks = np.array([[0, 3, 0, 1, 0], [0, 9, 2, 1, 0], [0, 0, 0, 0, 0]])
    found = correlation.error_correlation(ranks)
    expected = np.corrcoef(ranks[:2] > 0)
    assert found[0][1] == pytest.approx(expected[0, 1])
    # A learner that never misses has no correlation with any.
    assert found[2] == [None] * 3


def test_correlations_are_means_over_pairs():
    assert correlation.mean_over_pairs([[1.0]]) is None
    matrix = [[1.0, 0.2, None], [0.2, 1.0, 0.6], [None, 0.6, 1.0]]
    assert correlation.mean_over_pairs(matrix) == pytest.approx(0.4)


def test_the_effective_rank_is_of_the_singular_values_of_all_but_the_mean():
    rng = np.random.default_rng(0)
    x = unit(rng, 5000, 3, 8)
    # The second learner has two directions alone, the third one of them doubled.
    x[:, 1, 2:] = 0
    x[:, 2] = np.repeat(x[:, 1, :1], 8, axis=1)
    found = spectrum.effective_ranks(x)
    flat = [*x.transpose(1, 0, 2), x.reshape(5000, -1)]
    for rank, vectors in zip(
        [*found["learners"], found["concatenated"]], flat, strict=True
    ):
        values = np.linalg.svd(
            vectors.astype(np.float64) - vectors.mean(0, dtype=np.float64),
            compute_uv=False,
        )
        shares = values / values.sum()
        shares = shares[shares > 1e-6]
        assert rank == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-4)
    assert found["learners"] == pytest.approx([8, 2, 1], rel=0.01)
    assert spectrum.effective_rank(x[:1, 0]) == 0


def test_histograms_count_every_pair():
    rng = np.random.default_rng(0)
    x, labels = unit(rng, 30, 3, 5), rng.integers(0, 4, 30)
    found = similarity_histograms(x, labels)
    edges = np.linspace(-1, 1, HISTOGRAM_BINS + 1)
    cosines = np.einsum("imd,jmd->mij", x, x)
    same = labels[:, np.newaxis] == labels
    off = ~np.eye(30, dtype=bool)
    selfs = [
        (x[:, p] * x[:, q]).sum(-1) for p, q in itertools.combinations(range(3), 2)
    ]
    for kind, values in (
        ("positive", cosines[:, same & off]),
        ("negative", cosines[:, ~same]),
        ("self_pair", np.array(selfs)),
    ):
        expected, _ = np.histogram(values, edges)
        assert found[kind].sum() == values.size
        # A cosine on the edge of a bin may fall to either side.
        assert np.abs(np.cumsum(found[kind] - expected)).max() <= 1
    assert "self_pair" not in similarity_histograms(x[:, :1], labels)
    # How much learners count is in their lengths, and no cosine's matter.
    longer = similarity_histograms(x * np.array([[0.5], [1], [1.5]]), labels)
    for kind, counts in found.items():
        assert np.abs(np.cumsum(longer[kind] - counts)).max() <= 1


def test_nmi_and_f1_are_scikit_learns_and_the_pairs():
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 4
    x = unit(rng, 4, 2, 6)[labels] + 0.4 * unit(rng, 80, 2, 6)
    found = clustering.measure_clustering(Embedded(x, labels))
    means = cluster.KMeans(4, n_init=1, max_iter=100, random_state=0)
    clusters = means.fit_predict(x.reshape(80, -1).astype("f"))
    nmi = metrics.normalized_mutual_info_score(labels, clusters)
    assert found["nmi"] == pytest.approx(100 * nmi)
    pairs = list(itertools.combinations(range(80), 2))
    same_class = np.array([labels[i] == labels[j] for i, j in pairs])
    same_cluster = np.array([clusters[i] == clusters[j] for i, j in pairs])
    both = (same_class & same_cluster).sum()
    precision, recall = both / same_cluster.sum(), both / same_class.sum()
    expected = 2 * precision * recall / (precision + recall)
    assert found["f1"] == pytest.approx(100 * expected)


def test_clustering_takes_a_sample_of_whole_classes():
    rng = np.random.default_rng(0)
    embedded = Embedded(unit(rng, 100, 1, 4), np.arange(100) // 10)
    found = clustering.measure_clustering(embedded, most_images=35)
    assert (found["images"], found["classes"]) == (30, 3)
    collapsed = Embedded(np.ones([20, 1, 4], "f"), np.arange(20) // 5)
    assert clustering.measure_clustering(collapsed)["nmi"] == pytest.approx(0)
