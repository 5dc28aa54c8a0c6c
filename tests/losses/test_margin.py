"""Margin loss: its triplets, and the draw of negatives by their distance."""

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.losses import margin
from abe_tf.losses.metric import LossBatch, Sizes
from tests.losses.fixture import LABELS, PLANE, config, of


def test_margin_of_given_triplets():
    d = np.linalg.norm(PLANE[:, None] - PLANE[None], axis=-1)
    partner = np.array([1, 0, 3, 2, 5, 4])
    different = LABELS[:, None] != LABELS[None]
    nearest = np.where(different, d, 9).min(1)
    triplets = np.zeros([1, 6, 6], bool)
    triplets[0, np.arange(6), partner] = True
    to_negative = np.broadcast_to(nearest[None, :, None], [1, 6, 6])
    loss = margin.MarginLoss(Sizes(1, 2, (0, 1, 2)), margin.Settings())
    with tf.GradientTape() as tape:
        found = loss.of_triplets(
            *(tf.constant(one, tf.float32) for one in (d[np.newaxis], to_negative)),
            tf.constant(triplets),
            tf.constant(LABELS),
        )
    assert float(found[0]) == pytest.approx(0.521191638, rel=1e-6)
    assert float(tf.reduce_sum(tape.gradient(found, loss.beta))) == pytest.approx(1)


@pytest.mark.parametrize(
    ("dim", "expected"),
    [
        (128, [91.37, 91.37, 39.013, 17.98, 4.92, -0.307]),
        (512, [369.93, 369.93, 158.176, 73.215, 20.596, -0.219]),
    ],
)
def test_weights_of_the_distances(dim, expected):
    distances = tf.constant([0.3, 0.5, 0.8, 1.0, 1.2, 1.399])
    np.testing.assert_allclose(
        margin.log_weights(distances, dim), expected, rtol=1e-4, atol=5e-3
    )
    assert np.isneginf(margin.log_weights(tf.constant([1.4, 2.0]), dim)).all()


def test_negatives_are_drawn_with_these_weights():
    # One anchor of a class of its own, four negatives.
    d = np.ones([4000, 5, 5], np.float32)
    d[:, 0, 1:] = [0.8, 1.0, 1.2, 1.39]
    same = np.eye(5, dtype=bool)
    drawn, _ = margin.draw_negatives(tf.constant(d), tf.constant(same), [4], [7, 0])
    shares = np.bincount(np.ravel(drawn[:, 0]), minlength=5) / (4000 * 5)
    expected = [0, 0.383329, 0.259634, 0.195182, 0.161855]
    np.testing.assert_allclose(shares, expected, atol=0.01)


def test_the_density_is_that_of_each_learners_size():
    """Of two learners alike, the smaller one's draw is flatter."""
    x = np.random.default_rng(0).normal(size=[60, 4])
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    d = np.linalg.norm(x[:, None] - x[None], axis=-1).astype("f")
    same = np.repeat(np.arange(6), 10)
    same = tf.constant(same[:, None] == same[None])
    both, _ = margin.draw_negatives(
        tf.constant(np.stack([d, d])), same, [4, 64], [0, 0]
    )
    for learner, dim in enumerate((4, 64)):
        logits = margin.log_weights(tf.constant(d), dim)
        shares = tf.nn.softmax(tf.where(same, -float("inf"), logits)).numpy()
        drawn = np.stack([np.bincount(row, minlength=60) for row in both[learner]])
        np.testing.assert_allclose(drawn.mean(0), 60 * shares.mean(0), atol=0.6)


def test_an_anchor_without_a_negative_is_left_out_and_counted():
    # All of another class lie opposite: beyond 1.4.
    x = np.array([[1.0, 0], [1, 0], [-1, 0], [-1, 0]])
    loss, compute = of(config("margin"), x, [0, 0, 1, 1])
    assert float(compute()) == 0.0
    batch = LossBatch(
        tf.constant(x[:, None], tf.float32), tf.constant([0, 0, 1, 1]), [0, 0]
    )
    assert float(loss(batch)[1]["margin/anchors_without_negative"]) == 1.0
