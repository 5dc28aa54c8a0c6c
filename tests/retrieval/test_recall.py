import json

import numpy as np
import pytest

from abe_tf.errors import InputError
from abe_tf.reports import text
from abe_tf.retrieval.embedded import Embedded
from abe_tf.retrieval.recall import measure_recall

KS = (1, 2, 4, 8)


def exhaustive(distances, labels, k):
    """Recall@K from a full ranking in float64, ties against the query."""
    hits = 0
    for query in range(len(labels)):
        others = np.delete(np.arange(len(labels)), query)
        positive = labels[others] == labels[query]
        order = np.lexsort((positive, distances[query, others]))
        hits += positive[order[:k]].any()
    return 100 * hits / len(labels)


def all_distances(embeddings):
    x = embeddings.astype(np.float64)
    by_learner = np.linalg.norm(x[:, np.newaxis] - x[np.newaxis], axis=-1)
    squared = (by_learner**2).sum(-1)
    return by_learner, by_learner.mean(-1), np.sqrt(squared)


def random_case(seed, images=60, learners=3, dim=4):
    rng = np.random.default_rng(seed)
    # Multiples of 1/16: squared distances are exact in float32, and ties abound.
    embeddings = rng.integers(-4, 5, [images, learners, dim]) / 16
    return embeddings.astype(np.float32), rng.integers(0, 8, images)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("block", [1, 7, 60, 1000])
def test_recall_is_that_of_an_exhaustive_ranking(seed, block):
    embeddings, labels = random_case(seed)
    recall = measure_recall(Embedded(embeddings, labels), KS, block)
    by_learner, ensemble, concatenated = all_distances(embeddings)
    for k in KS:
        assert recall.concatenated[k] == exhaustive(concatenated, labels, k)
        for learner in range(3):
            expected = exhaustive(by_learner[:, :, learner], labels, k)
            assert recall.by_learner[learner][k] == expected
        # Sums of square roots are not exact; equal sums may differ in the last bit.
        assert (
            abs(recall.ensemble[k] - exhaustive(ensemble, labels, k)) < 100 / 60 + 1e-9
        )


@pytest.mark.parametrize("seed", range(4))
def test_the_ensemble_distance_is_the_mean_of_plain_distances(seed):
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=[80, 4, 3]).astype(np.float32)
    labels = rng.integers(0, 10, 80)
    recall = measure_recall(Embedded(embeddings, labels), KS)
    _, ensemble, concatenated = all_distances(embeddings)
    assert recall.ensemble == {k: exhaustive(ensemble, labels, k) for k in KS}
    assert recall.concatenated == {k: exhaustive(concatenated, labels, k) for k in KS}


@pytest.mark.parametrize("images", [10, 333])
def test_a_model_that_maps_everything_to_one_point_has_recall_0(images):
    vector = np.random.default_rng(0).normal(size=[1, 3, 33])
    vector /= np.linalg.norm(vector, axis=-1, keepdims=True)
    embeddings = np.repeat(vector, images, 0).astype(np.float32)
    recall = measure_recall(Embedded(embeddings, np.arange(images) // 5), (1, 4))
    assert set(recall.ensemble.values()) == {0.0}
    assert set(recall.concatenated.values()) == {0.0}
    assert all(set(learner.values()) == {0.0} for learner in recall.by_learner)
    assert recall.self_pair_cosine == pytest.approx(
        np.mean([vector[0, p] @ vector[0, q] for p, q in ((0, 1), (0, 2), (1, 2))])
    )


def test_the_self_pair_cosine_is_one_however_learners_count():
    embeddings, labels = random_case(0, images=30)[0], np.arange(30) // 5
    embeddings /= np.linalg.norm(embeddings, axis=-1, keepdims=True)
    weights = np.linspace(0.5, 1.5, embeddings.shape[1])[:, np.newaxis]
    plain, longer = (
        measure_recall(Embedded(x.astype(np.float32), labels), (1,)).self_pair_cosine
        for x in (embeddings, embeddings * weights)
    )
    assert longer == pytest.approx(plain, abs=1e-6)


def test_k_beyond_the_gallery_finds_everything_but_what_is_alone():
    embeddings, _ = random_case(0, images=9)
    labels = np.array([0, 0, 1, 1, 1, 2, 2, 2, 3])
    recall = measure_recall(Embedded(embeddings, labels), (9, 1000))
    assert recall.ensemble[1000] == pytest.approx(100 * 8 / 9)
    assert measure_recall(Embedded(embeddings, np.zeros(9)), (1,)).ensemble == {
        1: 100.0
    }


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_embedding_that_is_not_finite_is_refused(value):
    embeddings, labels = random_case(0)
    embeddings[17, 1, 0] = value
    with pytest.raises(InputError, match="of image 17"):
        measure_recall(Embedded(embeddings, labels), KS)


def test_the_table_and_the_json_hold_what_was_measured():
    embeddings, labels = random_case(0)
    recall = measure_recall(Embedded(embeddings, labels), KS)
    result = json.loads(json.dumps(recall.as_json("cars196")))
    assert result["ensemble"] == {f"recall@{k}": recall.ensemble[k] for k in KS}
    ones = [learner["recall@1"] for learner in result["learners"]]
    assert result["individual_mean"]["recall@1"] == pytest.approx(np.mean(ones))
    assert result["individual_std"]["recall@1"] == pytest.approx(np.std(ones))
    assert result["num_queries"] == 60
    table = text.as_text(recall)
    assert f"{recall.ensemble[1]:.1f}" in table.splitlines()[1]
    assert f"{np.mean(ones):.1f} ± {np.std(ones):.2f}" in table


def test_queries_look_in_a_gallery_of_their_own():
    rng = np.random.default_rng(3)
    queries, gallery = (
        Embedded(rng.normal(size=(n, 2, 4)).astype("f"), rng.integers(0, 5, n))
        for n in (13, 40)
    )
    recall = measure_recall(queries, (1, 5), 4, gallery)
    assert (recall.num_queries, recall.num_gallery) == (13, 40)
    differences = queries.learner_embeddings[:, None] - gallery.learner_embeddings
    order = np.linalg.norm(differences, axis=-1).mean(-1).argsort(axis=1)
    found = gallery.labels[order] == queries.labels[:, None]
    for k in (1, 5):
        assert recall.ensemble[k] == pytest.approx(100 * found[:, :k].any(1).mean())
