"""Six unit vectors in the plane, of three classes, and what a loss makes of them."""

import numpy as np
import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses import table
from abe_tf.losses.metric import LossBatch, Sizes

ANGLES = np.radians([0, 20, 60, 90, 180, 200])
PLANE = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)
LABELS = np.array([0, 0, 1, 1, 2, 2])
PROXIES = np.radians([10, 75, 190])


def of(config, x, labels=LABELS, classes=(0, 1, 2), seed=(0, 0)):
    """The loss of one learner, and the object that gives it."""
    x = tf.convert_to_tensor(x, tf.float32)
    loss = table.create(config, Sizes(1, x.shape[-1], tuple(classes)))
    batch = LossBatch(x[:, tf.newaxis], tf.constant(labels), tf.constant(seed))
    return loss, lambda: loss(batch)[0][0]


def value(config, **with_proxies):
    loss, compute = of(config, PLANE)
    if with_proxies:
        places = np.stack([np.cos(PROXIES), np.sin(PROXIES)], 1)
        loss.proxies.assign(places[np.newaxis])
    return float(compute())


def config(name, **settings):
    return LossConfig(metric_loss=name, **settings)
