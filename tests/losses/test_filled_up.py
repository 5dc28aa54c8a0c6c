"""Losses with proxies of learners that are filled up with zeros."""

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses import table
from abe_tf.losses.metric import LossBatch, Sizes


@pytest.mark.parametrize("name", ["proxy_nca", "proxy_anchor"])
def test_what_fills_up_has_no_part_in_a_proxys_direction(name):
    tf.keras.utils.set_random_seed(0)
    loss = table.create(LossConfig(metric_loss=name), Sizes(2, 5, (0, 1, 2), (3, 5)))
    rng = np.random.default_rng(0)
    x = rng.normal(size=[6, 2, 5])
    x[:, 0, 3:] = 0
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    labels = tf.constant([0, 0, 1, 1, 2, 2])
    seed = tf.zeros([2], tf.int64)
    whole, _ = loss(LossBatch(tf.constant(x, tf.float32), labels, seed))
    # Without what fills up the first learner is the loss of three numbers.
    small = table.create(LossConfig(metric_loss=name), Sizes(1, 3, (0, 1, 2)))
    small.proxies.assign(loss.proxies[:1, :, :3])
    alone, _ = small(LossBatch(tf.constant(x[:, :1, :3], tf.float32), labels, seed))
    np.testing.assert_allclose(whole[0], alone[0], rtol=1e-5)
