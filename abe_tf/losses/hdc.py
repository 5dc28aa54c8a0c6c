"""Hard-aware cascade (Yuan et al., "Hard-Aware Deeply Cascaded Embedding", ICCV 2017).

    l+ = D^2            pairs of one class
    l- = [margin - D^2]+    pairs of two classes
    L_k = sum of the kept l / number of kept l above 0

Of the pairs that learner k - 1 has kept, learner k keeps those of largest l: a share of
all pairs of the batch, of positives and of negatives each. So the last learners see
hard pairs alone. Which are kept is a constant for the gradient.

The authors' program ranks all pairs anew for each learner, lists every negative twice
and takes it ten times: `released`.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses.metric import AllLearners, MetricLoss, Sizes
from abe_tf.losses.pairwise import same_class, squared_distances

# Of the authors' program: proto's default of the loss layer.
_RELEASED_FACTOR = 10.0


def create(config: LossConfig, sizes: Sizes) -> MetricLoss:
    """The loss that the flags describe."""
    return AllLearners(
        lambda embeddings, labels: hdc_loss(
            embeddings,
            labels,
            config.hdc_ratios,
            config.margin_contrastive,
            config.hdc_pairs == "released",
        )
    )


def hdc_loss(
    learner_embeddings: tf.Tensor,
    labels: tf.Tensor,
    ratios: tuple[float, ...] = (1.0, 0.5, 0.2),
    margin: float = 1.0,
    released: bool = False,
) -> tf.Tensor:
    """The loss of each learner.

        >>> x = tf.constant([[[1.0, 0.0]], [[0.0, 1.0]], [[0.8, 0.6]]])
        >>> hdc_loss(x, tf.constant([0, 0, 1])).numpy().round(3)
        array([0.933], dtype=float32)

    Args:
      learner_embeddings: `[batch, learners, dim]` float32, unit length.
      labels: `[batch]` integer classes.
      ratios: Share of the pairs that each learner keeps, in 0 to 1, rounded down to a
        number of pairs; learners beyond the last take the last.
      margin: Negatives of a larger squared distance cost nothing.
      released: Whether pairs are as in the authors' program.

    Returns:
      `[learners]` float32, at least 0.
    """
    by_learner = tf.unstack(squared_distances(learner_embeddings))
    costs = [(squared, tf.nn.relu(margin - squared)) for squared in by_learner]
    kept = cascade(costs, same_class(labels), ratios, released)
    factor = _RELEASED_FACTOR if released else 1.0
    return tf.stack(
        [_mean(one, pairs, factor) for one, pairs in zip(costs, kept, strict=True)]
    )


def cascade(
    costs: Sequence[tuple[tf.Tensor, tf.Tensor]],
    same: tf.Tensor,
    ratios: tuple[float, ...],
    released: bool,
) -> list[list[tf.Tensor]]:
    """The pairs that each learner sees, positives and negatives.

    Args:
      costs: What a pair costs each learner as a positive and as a negative one,
        `[batch, batch]` both.
      same: `[batch, batch]` bool, pairs of one class.
      ratios: Share of the pairs that each learner keeps, in 0 to 1.
      released: Whether pairs are as in the authors' program.

    Returns:
      `[batch, batch]` bool, two for each learner.
    """
    once = tf.linalg.band_part(tf.ones_like(same, tf.int32), 0, -1) > 0
    once = tf.linalg.set_diag(once, tf.zeros(tf.shape(same)[:1], tf.bool))
    positives, negatives = same & once, ~same & (released | once)
    counts = [
        tf.cast(tf.math.count_nonzero(pairs), tf.float64)
        for pairs in (positives, negatives)
    ]
    left, seen = [positives, negatives], []
    for learner, of_learner in enumerate(costs):
        ratio = ratios[min(learner, len(ratios) - 1)]
        kept = [
            hardest(cost, among, tf.cast(ratio * count, tf.int32))
            for cost, among, count in zip(of_learner, left, counts, strict=True)
        ]
        if not released:
            left = kept
        seen.append(kept)
    return seen


def hardest(costs: tf.Tensor, among: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """The pairs that cost most; of equals the first.

    Args:
      costs: `[batch, batch]`, at least 0.
      among: `[batch, batch]` bool, pairs that may be chosen.
      count: Number of pairs that are; all where there are fewer.

    Returns:
      `[batch, batch]` bool.
    """
    known = tf.stop_gradient(tf.where(among, costs, -1.0))
    order = tf.argsort(tf.reshape(known, [-1]), direction="DESCENDING", stable=True)
    ranks = tf.reshape(tf.argsort(order), tf.shape(costs))
    return among & (ranks < count)


def _mean(
    costs: tuple[tf.Tensor, tf.Tensor], kept: list[tf.Tensor], factor: float
) -> tf.Tensor:
    positives, negatives = (
        tf.where(pairs, cost, 0.0) for cost, pairs in zip(costs, kept, strict=True)
    )
    above = sum(
        tf.math.count_nonzero(cost > 0, dtype=tf.float32)
        for cost in (positives, negatives)
    )
    total = tf.reduce_sum(positives) + factor * tf.reduce_sum(negatives)
    return tf.math.divide_no_nan(total, above)
