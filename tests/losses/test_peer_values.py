"""Values and lengths of gradients that pytorch-metric-learning 2.9.0 gives, in float64.

Sixteen vectors of eight dimensions, four of each of four classes; proxies of six.
"""

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses import table
from abe_tf.losses.metric import LossBatch, Sizes

ROW, COLUMN = np.mgrid[:16, :8]
VECTORS = np.sin(1 + 3 * ROW + 7 * COLUMN)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
CLASS, COLUMN = np.mgrid[:6, :8]
PROXIES = np.cos(2 + 5 * CLASS + 3 * COLUMN)


def value_and_gradient(config):
    """The loss, and the length of its gradient, but for what changes lengths.

    There the embeddings are scaled to unit length once more.
    """
    loss = table.create(config, Sizes(1, 8, tuple(range(6))))
    for proxies in loss.trainable_variables:
        proxies.assign(PROXIES[np.newaxis])
    embeddings = tf.Variable(VECTORS[:, np.newaxis], dtype=tf.float32)
    labels = tf.constant(np.arange(16) // 4)
    with tf.GradientTape() as tape:
        cost = loss(LossBatch(embeddings, labels, tf.constant([0, 0])))[0][0]
    gradient = tape.gradient(cost, embeddings).numpy()[:, 0]
    along = np.sum(gradient * VECTORS, axis=1, keepdims=True) * VECTORS
    return float(cost), np.linalg.norm(gradient - along)


@pytest.mark.parametrize(
    ("scale", "margin", "expected", "length"),
    [
        (32.0, 0.1, 16.093380165518465, 16.066240108361),
        (16.0, 0.2, 12.542616697869637, 7.104388827131837),
    ],
)
def test_proxy_anchor(scale, margin, expected, length):
    config = LossConfig(
        metric_loss="proxy_anchor",
        proxy_anchor_scale=scale,
        proxy_anchor_margin=margin,
    )
    cost, gradient = value_and_gradient(config)
    assert cost == pytest.approx(expected, rel=1e-5)
    assert gradient == pytest.approx(length, rel=1e-4)


@pytest.mark.parametrize(
    ("alpha", "beta", "base", "epsilon", "expected", "length"),
    [
        (2.0, 50.0, 0.5, 0.1, 2.266571126178727, 0.16730308588576925),
        (2.0, 50.0, 1.0, 0.1, 2.3291725672309735, 0.08227454195575067),
        (1.0, 10.0, 0.75, 0.3, 2.798567448863851, 0.12340770690364475),
    ],
)
def test_multi_similarity(alpha, beta, base, epsilon, expected, length):
    config = LossConfig(
        metric_loss="multi_similarity",
        multi_similarity_alpha=alpha,
        multi_similarity_beta=beta,
        multi_similarity_base=base,
        multi_similarity_epsilon=epsilon,
    )
    cost, gradient = value_and_gradient(config)
    assert cost == pytest.approx(expected, rel=1e-5)
    assert gradient == pytest.approx(length, rel=1e-4)


def test_proxy_nca_with_the_own_class_in_the_sum():
    config = LossConfig(
        metric_loss="proxy_nca", proxy_positive="included", proxy_scale=3.0
    )
    assert value_and_gradient(config)[0] == pytest.approx(3.333450168842972, rel=1e-5)
