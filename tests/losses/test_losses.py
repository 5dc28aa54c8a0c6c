"""Both losses against NumPy written from the paper's equations."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.loss import METRIC_LOSSES, LossConfig
from abe_tf.losses import table
from abe_tf.losses.contrastive import contrastive_loss
from abe_tf.losses.divergence import divergence_loss
from abe_tf.losses.metric import Sizes
from abe_tf.losses.objective import ensemble_loss
from abe_tf.losses.statistics import batch_statistics, self_pair_cosines

CASES = list(
    itertools.product(["squared", "plain"], ["mean", "published"], range(3), [0.7, 1.0])
)


def random_embeddings(seed, batch=8, learners=3, dim=4):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=[batch, learners, dim])
    # Close enough that some pairs of every kind lie within the margin.
    vectors += rng.normal(size=[batch, 1, 1]) + 1
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors.astype(np.float32), np.array([0, 0, 0, 1, 1, 2, 2, 3])


def distance_between(x, y, distance):
    squared = float(np.sum((x.astype(np.float64) - y) ** 2))
    return squared if distance == "squared" else np.sqrt(squared)


def contrastive_oracle(embeddings, labels, margin, distance, reduction):
    losses = []
    for m in range(embeddings.shape[1]):
        positives, negatives = [], []
        for i, j in itertools.product(range(len(labels)), repeat=2):
            d = distance_between(embeddings[i, m], embeddings[j, m], distance)
            if labels[i] != labels[j]:
                negatives.append(max(0.0, margin - d))
            elif i != j:
                positives.append(d)
        active = [cost for cost in negatives if cost > 0]
        if reduction == "published":
            losses.append((sum(positives) + sum(negatives)) / len(labels))
        else:
            losses.append(np.mean(positives) + (np.mean(active) if active else 0.0))
    return losses


def divergence_oracle(embeddings, margin, distance, reduction):
    costs = [
        max(0.0, margin - distance_between(image[p], image[q], distance))
        for image in embeddings
        for p, q in itertools.permutations(range(len(image)), 2)
    ]
    learners = embeddings.shape[1]
    return sum(costs) if reduction == "published" else learners * np.mean(costs)


@pytest.mark.parametrize(("distance", "reduction", "seed", "margin"), CASES)
def test_contrastive(distance, reduction, seed, margin):
    embeddings, labels = random_embeddings(seed)
    loss = contrastive_loss(embeddings, labels, margin, distance, reduction)
    expected = contrastive_oracle(embeddings, labels, margin, distance, reduction)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize(("distance", "reduction", "seed", "margin"), CASES)
def test_divergence(distance, reduction, seed, margin):
    embeddings, _ = random_embeddings(seed)
    loss = divergence_loss(embeddings, margin, distance, reduction)
    expected = divergence_oracle(embeddings, margin, distance, reduction)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert expected > 0


@pytest.mark.parametrize(("distance", "reduction"), [case[:2] for case in CASES[::6]])
def test_the_total_sums_learners_and_weights_the_divergence(distance, reduction):
    embeddings, labels = random_embeddings(0)
    config = LossConfig(
        lambda_div=0.3,
        margin_contrastive=0.8,
        margin_divergence=1.2,
        distance=distance,
        loss_reduction=reduction,
    )
    terms = ensemble_loss(tf.constant(embeddings), labels, config)
    contrastive = sum(contrastive_oracle(embeddings, labels, 0.8, distance, reduction))
    divergence = divergence_oracle(embeddings, 1.2, distance, reduction)
    np.testing.assert_allclose(sum(terms.metric), contrastive, rtol=1e-5)
    np.testing.assert_allclose(terms.total, contrastive + 0.3 * divergence, rtol=1e-5)


@pytest.mark.parametrize(("step", "weight"), [(0, 0), (4, 0), (5, 0.3), (6, 0.3)])
def test_the_divergence_sets_in_after_its_steps_and_not_before(step, weight):
    embeddings, labels = random_embeddings(0)
    config = LossConfig(lambda_div=0.3, divergence_start_step=5)
    seed = tf.constant([0, step], tf.int64)
    terms = ensemble_loss(tf.constant(embeddings), labels, config, seed=seed)
    divergence = divergence_oracle(embeddings, 1.0, "squared", "mean")
    assert divergence > 0
    np.testing.assert_allclose(terms.divergence, divergence, rtol=1e-5)
    np.testing.assert_allclose(
        terms.weighted_divergence, weight * divergence, rtol=1e-5
    )
    without = contrastive_oracle(embeddings, labels, 1.0, "squared", "mean")
    np.testing.assert_allclose(
        terms.total, sum(without) + weight * divergence, rtol=1e-5
    )


@pytest.mark.parametrize("distance", ["squared", "plain"])
@pytest.mark.parametrize("reduction", ["mean", "published"])
@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 2, 3]])
def test_gradients_are_finite_where_embeddings_coincide(distance, reduction, labels):
    one = tf.math.l2_normalize(tf.constant([1.0, 2.0, 3.0]))
    embeddings = tf.Variable(tf.tile(one, [4 * 2])[:, tf.newaxis])
    with tf.GradientTape() as tape:
        folded = tf.reshape(embeddings, [4, 2, 3])
        config = LossConfig(distance=distance, loss_reduction=reduction)
        loss = ensemble_loss(folded, tf.constant(labels), config).total
    assert np.isfinite(loss)
    assert np.isfinite(tape.gradient(loss, embeddings)).all()


@pytest.mark.parametrize("reduction", ["mean", "published"])
def test_one_learner_has_no_divergence(reduction):
    embeddings, _ = random_embeddings(0, learners=1)
    assert float(divergence_loss(embeddings, reduction=reduction)) == 0


def test_means_keep_the_balance_whatever_the_number_of_learners():
    one = np.tile(random_embeddings(0, learners=1)[0], [1, 8, 1])
    labels = random_embeddings(0)[1]
    ratios = []
    for learners in (2, 4, 8):
        terms = ensemble_loss(tf.constant(one[:, :learners]), labels, LossConfig())
        ratios.append(float(terms.divergence / sum(terms.metric)))
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-5)


def test_statistics_are_plain_means():
    embeddings, labels = random_embeddings(0)
    statistics = batch_statistics(tf.constant(embeddings), labels, 1.0, "squared")
    positive, negative = [], []
    for m, i, j in itertools.product(range(3), range(8), range(8)):
        plain = distance_between(embeddings[i, m], embeddings[j, m], "plain")
        if labels[i] != labels[j]:
            negative.append(plain)
        elif i != j:
            positive.append(plain)
    active = np.mean(np.square(negative) < 1)
    np.testing.assert_allclose(
        statistics["distance/positive"], np.mean(positive), rtol=1e-5
    )
    np.testing.assert_allclose(
        statistics["distance/negative"], np.mean(negative), rtol=1e-5
    )
    np.testing.assert_allclose(statistics["pairs/active_negatives"], active, rtol=1e-5)


def test_self_pair_cosine_is_the_mean_over_pairs_of_learners():
    embeddings, _ = random_embeddings(1)
    expected = [
        np.mean([image[p] @ image[q] for p, q in itertools.combinations(range(3), 2)])
        for image in embeddings
    ]
    np.testing.assert_allclose(self_pair_cosines(embeddings), expected, rtol=1e-5)


def test_every_name_is_a_loss_of_its_own():
    rng = np.random.default_rng(0)
    x = rng.normal(size=[8, 2, 4]).astype(np.float32)
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    labels = tf.constant([0, 0, 1, 1, 2, 2, 3, 3])
    totals = set()
    for name in METRIC_LOSSES:
        config = LossConfig(metric_loss=name)
        metric = table.create(config, Sizes(2, 4, (0, 1, 2, 3)))
        totals.add(float(ensemble_loss(x, labels, config, metric).total))
        if metric.trainable_variables:
            with pytest.raises(ValueError, match="must be given"):
                ensemble_loss(x, labels, config)
    assert len(totals) == len(METRIC_LOSSES)
