"""Each loss and its gradient against the equations in float64, over random batches."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.loss import METRIC_LOSSES
from abe_tf.losses.margin import draw_negatives
from abe_tf.losses.metric import LossBatch
from tests.losses import equations
from tests.losses.fixture import config, of

IMAGES, DIM, CLASSES = 12, 5, 4
# Flags, and what they are called in the equations.
CASES = [
    ("contrastive", {"margin_contrastive": 0.8}, {"margin": 0.8}),
    ("contrastive", {"contrastive_hinge": "squared"}, {"hinge": "squared"}),
    ("triplet_semihard", {"margin_addons": 0.3}, {"margin": 0.3}),
    ("triplet_hard", {"margin_hard": 0.5}, {"margin": 0.5}),
    ("lifted_struct", {"margin_addons": 0.3}, {"margin": 0.3}),
    ("npairs", {"npairs_scale": 5.0}, {"scale": 5.0}),
    ("angular", {"angular_degrees": 40.0}, {"degrees": 40.0}),
    ("angular", {"npairs_weight": 0.5}, {"npairs_weight": 0.5}),
    ("clustering", {"clustering_gamma": 2.0}, {"gamma": 2.0}),
    ("proxy_nca", {}, {}),
    ("proxy_nca", {"proxy_positive": "included"}, {"positive": "included"}),
    ("proxy_anchor", {"proxy_anchor_scale": 16.0}, {"scale": 16.0}),
    ("multi_similarity", {"multi_similarity_base": 0.3}, {"base": 0.3}),
    ("margin", {"margin_nu": 0.1}, {"nu": 0.1}),
]
FREE = [case for case in CASES if case[0] in {"triplet_hard", "lifted_struct"}]
FREE += [("npairs", {"npairs_scale": 1.0}, {"scale": 1.0})]
FREE += [("angular", {"angular_degrees": 30.0}, {"degrees": 30.0})]


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def batch(seed):
    """Images in any order, but pairs of neighbours; of a class two, three or more."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.permutation([0, 1, 2, 3, 0, 2]), 2)
    return rng.normal(size=[IMAGES, DIM]), labels


def slope_of(equation, start, seed):
    """Directions, and how `equation` rises along each."""
    rng = np.random.default_rng(seed)
    for _ in range(5):
        direction = rng.normal(size=start.shape)
        direction /= np.linalg.norm(direction)
        above, below = (equation(start + step * direction) for step in (1e-6, -1e-6))
        yield direction, (above - below) / 2e-6


def assert_agrees(name, flags, settings, x, labels, free, seed):
    """The loss of a batch, and its slopes by embeddings and by its own variables."""
    tf.random.set_seed(seed)
    settings_ = config(name, **flags, embedding_norm="free" if free else "unit")
    loss, _ = of(settings_, x, labels, range(CLASSES))
    # So that it has something to learn about.
    for own in loss.trainable_variables:
        own.assign_add(0.1 * tf.random.normal(own.shape))
    vectors, step = tf.Variable(x, dtype=tf.float32), tf.constant([seed, 3], tf.int64)
    with tf.GradientTape() as tape:
        given = LossBatch(vectors[:, tf.newaxis], tf.constant(labels), step)
        found = loss(given)[0][0]
    variables = (vectors, *loss.trainable_variables)
    slopes = [one.numpy() for one in tape.gradient(found, variables)]
    equation = functools.partial(getattr(equations, name), **settings)
    if name == "margin":
        d = tf.constant(np.sqrt(equations.squares(x))[np.newaxis], tf.float32)
        same = tf.constant(labels[:, None] == labels[None])
        drawn, any_drawn = draw_negatives(d, same, [DIM], step)
        equation = functools.partial(
            equation, drawn=drawn[0].numpy(), found=any_drawn[0].numpy()
        )
    own = [one.numpy()[0].astype(float) for one in loss.trainable_variables]
    # Where lengths are one, along the sphere alone.
    on_sphere = (lambda one: one) if free else unit
    expected = equation(on_sphere(x), labels, *own)
    assert expected != 0
    assert float(found) == pytest.approx(expected, rel=2e-5)
    functions = [lambda one: equation(on_sphere(one), labels, *own)]
    functions += [lambda one: equation(on_sphere(x), labels, one)] * len(own)
    if not free:
        slopes[0] -= np.sum(slopes[0] * x, axis=1, keepdims=True) * x
    starts = [x, *own]
    for function, start, slope in zip(functions, starts, slopes, strict=True):
        slope, steepest = slope.reshape(start.shape), np.linalg.norm(slope)
        assert steepest > 0
        for direction, rise in slope_of(function, start, seed):
            expected = (slope * direction).sum()
            assert rise == pytest.approx(expected, rel=1e-3, abs=1e-4 * float(steepest))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("name", "flags", "settings"), CASES, ids=[f"{n}{''.join(f)}" for n, f, _ in CASES]
)
def test_of_unit_vectors(name, flags, settings, seed):
    x, labels = batch(seed)
    assert_agrees(name, flags, settings, unit(x), labels, False, seed)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("name", "flags", "settings"), FREE, ids=[name for name, *_ in FREE]
)
def test_of_vectors_of_any_length(name, flags, settings, seed):
    x, labels = batch(seed)
    assert_agrees(name, flags, settings, x, labels, True, seed)


def test_every_loss_of_one_learner_has_its_equation():
    """Those of all learners at once have theirs in test_of_all_learners.py."""
    assert {name for name, *_ in CASES} == set(METRIC_LOSSES) - {"hdc", "bier"}
