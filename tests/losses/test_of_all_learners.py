"""Losses that see all learners at once: the cascade of HDC, the boosting of BIER.

The values were computed from the papers' equations and the authors' programs, in
float64.
"""

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.errors import InputError
from abe_tf.losses import table
from abe_tf.losses.bier import boosting_weights
from abe_tf.losses.hdc import cascade, hardest
from abe_tf.losses.metric import LossBatch, Sizes
from tests.losses.fixture import LABELS, PLANE, config


def plane(*degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], 1)


LEARNERS = np.stack(
    [PLANE, plane(0, 40, 60, 100, 170, 200), plane(10, 20, 70, 80, 180, 210)], 1
)


def losses(settings, x, labels=LABELS):
    """The loss of each learner, and its gradient."""
    loss = table.create(settings, Sizes(*x.shape[1:], (0, 1, 2)))
    vectors = tf.constant(x, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        found = loss(LossBatch(vectors, tf.constant(labels), tf.constant([0, 0])))[0]
        total = tf.reduce_sum(found)
    return found.numpy(), tape.gradient(total, vectors).numpy()


def random_batch(seed, images=10, learners=3, dim=6):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=[images, learners, dim])
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    return x, rng.integers(0, 4, images)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ("cascade", (0.208253519, 0.266679360, 0.266044443)),
        ("released", (1.592993776, 2.181945383, 2.660444431)),
    ],
)
def test_shares_of_the_pairs_of_one_head(pairs, expected):
    # Three learners alike: the cascade chooses as each would of all pairs.
    alike = np.repeat(PLANE[:, None], 3, axis=1)
    # In float64 the pair of 0 and 60 degrees costs 2e-16, and is counted.
    settings = config("hdc", hdc_pairs=pairs, margin_contrastive=1.000001)
    found, _ = losses(settings, alike)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("boosting", "expected", "second"),
    [
        (
            "frank_wolfe",
            (0.449158247, 0.642581855, 0.228577284),
            (0.293305188, 0.999998329),
        ),
        (
            "simple",
            (0.449158247, 0.752915734, 0.376651551),
            (0.365223583, 1.147972261),
        ),
    ],
)
def test_what_boosting_gives(boosting, expected, second):
    found, _ = losses(config("bier", bier_boosting=boosting), LEARNERS)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    same = LABELS[:, None] == LABELS[None]
    products = np.einsum("imd,jmd->mij", LEARNERS, LEARNERS)
    activations = tf.constant(2 * np.where(same, 1, -25) * (products - 0.5), tf.float32)
    weights = boosting_weights(activations, tf.constant(same), boosting).numpy()
    # Of the pairs of 0 and 20, and of 20 and 60 degrees.
    np.testing.assert_allclose(weights[1][[0, 1], [1, 2]], second, rtol=2e-5)


def of_hdc(x, labels, ratios, released=False, kept=None):
    """The losses, and the pairs of each learner: positives, negatives."""
    images, learners, _ = x.shape
    i, j = np.triu_indices(images, 1)
    same = labels[i] == labels[j]
    left = [np.flatnonzero(same), np.flatnonzero(~same)]
    counts = [len(one) * (1 + (released and n)) for n, one in enumerate(left)]
    found, chosen = [], []
    for m in range(learners):
        d = np.square(x[i, m] - x[j, m]).sum(-1)
        costs = d, np.maximum(0, 1 - d)
        if kept is None:
            mine = []
            for cost, among, count in zip(costs, left, counts, strict=True):
                times = count // len(among) if released and len(among) else 1
                listed = np.repeat(among, times)
                order = np.argsort(-cost[listed], kind="stable")
                # Of equals, such as those that cost nothing, the first.
                mine.append(np.sort(listed[order[: int(ratios[m] * count)]]))
            if not released:
                left = mine
        else:
            mine = kept[m]
        taken = [cost[pairs] for cost, pairs in zip(costs, mine, strict=True)]
        above = sum((one > 0).sum() for one in taken)
        total = taken[0].sum() + (10 if released else 1) * taken[1].sum()
        found.append(total / above if above else 0.0)
        chosen.append(mine)
    return np.array(found), chosen


def of_bier(x, labels, boosting, weights=None):
    """The losses, and the weights of each learner."""
    same = labels[:, None] == labels[None]
    turned, learners = 2 * np.where(same, 1, -25), x.shape[1]
    share = np.where(same, 1 / same.sum(), 1 / max(1, (~same).sum()))
    np.fill_diagonal(share, 0)
    reached, found, used = 0.5 * (boosting == "simple"), [], []
    now = np.ones(same.shape)
    for m in range(learners):
        act = turned * (x[:, m] @ x[:, m].T - 0.5)
        used.append(now)
        w = now if weights is None else weights[m]
        found.append((np.logaddexp(0, -act) * w * share).sum() / learners)
        if boosting == "simple":
            reached = reached + 0.06 * act
            now = np.where(same, 1, 2) / (1 + np.exp(reached))
        else:
            nu = 2 / (2 + m)
            reached = (1 - nu) * reached + nu * act
            now = 1 / (1 + np.exp(reached))
    return np.array(found), used


def slope(of, x, step=1e-6):
    """The gradient of a sum of losses, by differences in float64."""
    gradient = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[place] += sign * step
            ends.append(of(moved).sum())
        gradient[place] = (ends[0] - ends[1]) / (2 * step)
    return gradient


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("pairs", ["cascade", "released"])
def test_hdc_of_random_batches(pairs, seed):
    x, labels = random_batch(seed)
    ratios, released = (0.9, 0.5, 0.3), pairs == "released"
    settings = config("hdc", hdc_ratios=ratios, hdc_pairs=pairs)
    found, gradient = losses(settings, x, labels)
    expected, kept = of_hdc(x, labels, ratios, released)
    np.testing.assert_allclose(found, expected, rtol=2e-5)
    # What is kept is a constant.
    differences = slope(lambda y: of_hdc(y, labels, ratios, released, kept)[0], x)
    np.testing.assert_allclose(gradient, differences, rtol=1e-3, atol=1e-5)
    squared = np.square(x[:, None] - x[None]).sum(-1).transpose(2, 0, 1)
    costs = tf.constant(np.stack([squared, np.maximum(0, 1 - squared)], 1), tf.float32)
    same = tf.constant(labels[:, None] == labels[None])
    masks = np.array(cascade([tuple(one) for one in costs], same, ratios, released))
    if not released:
        # No pair that a learner has not kept comes back.
        assert np.all(masks[:-1] | ~masks[1:])
        assert np.all(masks[:-1].sum((2, 3)) > masks[1:].sum((2, 3)))
    for mask, pairs in zip(masks, kept, strict=True):
        counted = [one.sum() for one in mask]
        assert counted == [len(one) for one in pairs]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("boosting", ["frank_wolfe", "simple"])
def test_bier_of_random_batches(boosting, seed):
    x, labels = random_batch(seed)
    found, gradient = losses(config("bier", bier_boosting=boosting), x, labels)
    expected, weights = of_bier(x, labels, boosting)
    np.testing.assert_allclose(found, expected, rtol=2e-5)
    differences = slope(lambda y: of_bier(y, labels, boosting, weights)[0], x)
    np.testing.assert_allclose(gradient, differences, rtol=1e-3, atol=1e-4)


def test_boosting_weights_have_no_gradient():
    activations = tf.Variable(np.random.default_rng(0).normal(size=[3, 4, 4]))
    activations = tf.Variable(tf.cast(activations, tf.float32))
    same = tf.eye(4) > 0
    for boosting in ("frank_wolfe", "simple"):
        with tf.GradientTape() as tape:
            weights = boosting_weights(activations, same, boosting)
            total = tf.reduce_sum(weights)
        assert tape.gradient(total, activations) is None


def test_a_pair_that_a_learner_has_dropped_never_comes_back():
    """The last learner is wrong about pairs that the first one finds easy."""
    easy = plane(0, 1, 120, 122, 240, 243)
    mixed = plane(0, 117, 1, 240, 123, 244)
    x = np.stack([easy, mixed], 1)
    passed_on, _ = losses(config("hdc", hdc_ratios=(0.5, 0.5)), x)
    anew = of_hdc(x[:, 1:], LABELS, (0.5,))[0]
    expected = of_hdc(x, LABELS, (0.5, 0.5))[0]
    np.testing.assert_allclose(passed_on, expected, rtol=1e-4, atol=1e-6)
    assert passed_on[1] != pytest.approx(anew[0], rel=0.1)


def test_of_pairs_that_cost_alike_the_first_are_kept():
    costs = tf.constant([[3.0, 1.0, 1.0], [1.0, 1.0, 9.0], [0.0, 0.0, 0.0]])
    among = tf.constant([[True, True, True], [True, True, False], [False] * 3])
    kept = hardest(costs, among, tf.constant(3)).numpy()
    np.testing.assert_array_equal(kept, [[1, 1, 1], [0, 0, 0], [0, 0, 0]])
    everything = hardest(costs, among, tf.constant(9)).numpy()
    np.testing.assert_array_equal(everything, among)


def test_learners_beyond_the_ratios_take_the_last():
    alike = np.repeat(PLANE[:, None], 4, axis=1)
    found, _ = losses(config("hdc", hdc_ratios=(1.0, 0.5)), alike)
    assert found[1] == found[2] == found[3] != found[0]


@pytest.mark.parametrize("ratios", [(), (0.5, 0.6)])
def test_ratios_that_rise_are_refused(ratios):
    with pytest.raises(InputError, match="--hdc_ratios must be shares that do not"):
        LossConfig(metric_loss="hdc", hdc_ratios=ratios)
