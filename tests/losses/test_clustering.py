"""Clustering loss: the medoids that it finds, and how clusters are scored."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.losses import facility, table
from abe_tf.losses.metric import LossBatch, Sizes
from tests.losses.fixture import LABELS, PLANE, config


def test_mutual_information_is_normalised_by_the_geometric_mean():
    clusters, classes = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    p = np.array([[2, 0], [1, 1]]).T / 4
    shared = sum(
        p[i, j] * np.log(p[i, j] / (p.sum(1)[i] * p.sum(0)[j]))
        for i, j in itertools.product(range(2), range(2))
        if p[i, j]
    )
    entropies = [-(q * np.log(q)).sum() for q in (p.sum(0), p.sum(1))]
    found = facility.mutual_information(clusters, classes, 2, 2)
    assert found == pytest.approx(shared / np.sqrt(np.prod(entropies)))
    assert facility.mutual_information(np.zeros(4, int), classes, 1, 2) == 0.0


def test_learners_with_nothing_left_to_learn_are_counted():
    apart, mixed = PLANE, PLANE[[0, 2, 4, 1, 3, 5]]
    both = tf.constant(np.stack([apart, mixed], 1), tf.float32)
    loss = table.create(config("clustering"), Sizes(2, 2, (0, 1, 2)))
    losses, scalars = loss(LossBatch(both, tf.constant(LABELS), tf.constant([0, 0])))
    assert float(losses[0]) == 0.0
    assert float(losses[1]) > 0
    assert float(scalars["clustering/learners_at_zero"]) == 0.5


def test_gamma_falls_by_steps():
    """At 4 the fixture costs 0.4258; at 4 / 4 it costs nothing."""
    settings = {"clustering_gamma": 4.0, "clustering_decay_factor": 0.5}
    flags = config("clustering", clustering_decay_steps=10, **settings)
    loss = table.create(flags, Sizes(1, 2, (0, 1, 2)))
    x, labels = tf.constant(PLANE[:, None], tf.float32), tf.constant(LABELS)
    found = {}
    for step in (0, 9, 10, 20):
        seed = tf.constant([7, step], tf.int64)
        (value,), scalars = loss(LossBatch(x, labels, seed))
        found[float(scalars["clustering/gamma"])] = float(value)
    assert found == {4.0: pytest.approx(0.4258, abs=5e-5), 2.0: 0.0, 1.0: 0.0}


def test_medoids_are_as_good_as_the_best_of_all_sets():
    """Of the fixture greedy finds {2, 4, 5}, and refinement {1, 4, 5}, the best."""
    d = np.linalg.norm(PLANE[:, None] - PLANE[None], axis=-1)
    nearest, own, delta = facility.locate(d, LABELS, 4.0)
    assert set(nearest.tolist()) == {1, 4, 5}
    assert own.tolist() == [0, 0, 2, 2, 4, 4]
    best = max(
        4 * (1 - facility.mutual_information(g, LABELS, 3, 3))
        - d[np.arange(6), np.array(s)[g]].sum()
        for s in itertools.combinations(range(6), 3)
        for g in [facility._assign(d, np.array(s))]
    )
    found = 4 * delta - d[np.arange(6), nearest].sum()
    assert found == pytest.approx(best, rel=1e-6)
