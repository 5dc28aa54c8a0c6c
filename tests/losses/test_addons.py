"""TensorFlow Addons' losses against a few lines of NumPy, and LAMB."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses import addons
from abe_tf.losses.objective import ensemble_loss, metric_loss

LABELS = np.array([0, 0, 1, 1, 2, 2, 0, 0])


def embeddings(seed, learners=1):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=[len(LABELS), learners, 3]).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def distances(vectors):
    return np.square(vectors[:, None] - vectors[None]).sum(-1)


def triplet_oracle(vectors, labels, margin):
    """The nearest negative beyond the positive; where there is none, the farthest."""
    d, costs = distances(vectors), []
    for anchor, positive in itertools.permutations(range(len(labels)), 2):
        if labels[anchor] == labels[positive]:
            negatives = d[anchor, labels != labels[anchor]]
            beyond = negatives[negatives > d[anchor, positive]]
            negative = beyond.min() if len(beyond) else negatives.max()
            costs.append(max(0.0, margin + d[anchor, positive] - negative))
    return np.mean(costs)


def npairs_oracle(vectors, labels, scale):
    """Anchors are the even images, their positives the odd ones behind them."""
    anchors, positives, classes = vectors[::2], vectors[1::2], labels[::2]
    logits = scale * anchors @ positives.T
    log_shares = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    same = classes[:, None] == classes[None]
    return np.mean(-(log_shares * same).sum(1) / same.sum(1))


def lifted_oracle(vectors, labels, margin):
    d, costs = np.sqrt(distances(vectors)), []
    for i, j in itertools.combinations(range(len(labels)), 2):
        if labels[i] == labels[j]:
            others = [d[k, labels != labels[k]] for k in (i, j)]
            loss = np.log(sum(np.exp(margin - o).sum() for o in others)) + d[i, j]
            costs.append(max(0.0, loss) ** 2)
    return np.sum(costs) / (2 * len(costs))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "oracle", "argument"),
    [
        ("triplet_semihard", triplet_oracle, 0.3),
        ("lifted_struct", lifted_oracle, 0.3),
        ("npairs", npairs_oracle, 5.0),
    ],
)
def test_each_learner_has_the_loss_of_its_equation(name, oracle, argument, seed):
    config = LossConfig(metric_loss=name, margin_addons=0.3, npairs_scale=5.0)
    learners = embeddings(seed, 2)
    found = metric_loss(tf.constant(learners), tf.constant(LABELS), config)
    expected = [oracle(learners[:, m], LABELS, argument) for m in range(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    total = ensemble_loss(tf.constant(learners), tf.constant(LABELS), config)
    np.testing.assert_allclose(
        total.total, sum(expected) + config.lambda_div * total.divergence, rtol=1e-4
    )


def test_npairs_leaves_out_what_is_no_pair():
    labels = np.array([0, 0, 1, 2, 3, 3, 4])
    vectors = embeddings(0)[: len(labels), 0]
    found = addons.npairs_loss(tf.constant(vectors), tf.constant(labels), 4.0)
    kept = [0, 1, 4, 5]
    expected = npairs_oracle(vectors[kept], labels[kept], 4.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    alone = addons.npairs_loss(tf.constant(vectors), tf.range(len(labels)), 4.0)
    assert float(alone) == 0.0


def test_lamb_scales_each_step_by_the_length_of_the_weights():
    optimizer = addons.lamb(0.1, 0.0, ["bias"])
    weight = tf.Variable([3.0, 4.0], name="kernel")
    optimizer.apply_gradients([(tf.constant([1.0, 1.0]), weight)])
    # Adam's first step is the sign; LAMB gives it the weights' length, 5.
    step = 0.1 * 5 / np.sqrt(2)
    np.testing.assert_allclose(weight, [3 - step, 4 - step], rtol=1e-4)
