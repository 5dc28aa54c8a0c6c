"""Boosting independent embeddings robustly (Opitz et al., BIER, ICCV 2017).

    a_m = 2 (S_m - 1/2) c       S_m the cosine, c 1 for pairs of one class, else -25
    L_m = 1/M sum over pairs of w_m W log(1 + exp(-a_m))

W is 1 over the number of ordered pairs of that kind, an image with itself counted
among those of one class and costing nothing. The first learner has w = 1; every other
one has the weight by which the pair is wrong for the learners before it, from gradient
boosting of their sum by Frank and Wolfe's steps:

    A_0 = 0, nu_m = 2 / (m + 1), A_m = (1 - nu_m) A_{m-1} + nu_m a_m
    w_{m+1} = 1 / (1 + exp(A_m))

The authors' program has other steps by default (`simple`): A_0 = 1/2,
A_m = A_{m-1} + 0.06 a_m, and twice the weight for pairs of two classes. Weights have no
gradient.
"""

from __future__ import annotations

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses.adversarial import Independence
from abe_tf.losses.metric import AllLearners, LossBatch, MetricLoss, Sizes
from abe_tf.losses.pairwise import cosines, positive_pairs, same_class

# The deviance's steepness and the cosine that it turns at; the simple step and start.
_ALPHA, _BETA = 2.0, 0.5
_STEP, _START, _NEGATIVE_WEIGHT = 0.06, 0.5, 2.0


def create(config: LossConfig, sizes: Sizes) -> MetricLoss:
    """The loss that the flags describe."""
    return Boosted(config, sizes)


class Boosted(AllLearners):
    """BIER's loss, and with `--adversarial_weight` what keeps learners apart.

    Args:
      config: The flags.
      sizes: Sizes of the learners.
    """

    def __init__(self, config: LossConfig, sizes: Sizes) -> None:
        super().__init__(
            lambda embeddings, labels: bier_loss(
                embeddings, labels, config.bier_negative_cost, config.bier_boosting
            )
        )
        self._apart = None
        if config.adversarial_weight:
            self._apart = Independence(config, sizes.dims)
            # As published: the regressors learn as the encoder does.
            self.rate_times = 1.0

    def of_network(self, batch: LossBatch) -> tf.Tensor | None:
        """The term of independence, where there is one.

        Raises:
          ValueError: It looks at the last layers, and they were not given.
        """
        if self._apart is None:
            return None
        if batch.linear is None:
            raise ValueError("--adversarial_weight needs the network's last layers.")
        return self._apart(batch.linear)


def bier_loss(
    learner_embeddings: tf.Tensor,
    labels: tf.Tensor,
    negative_cost: float = 25.0,
    boosting: str = "frank_wolfe",
) -> tf.Tensor:
    """The loss of each learner.

        >>> x = tf.constant([[[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 1.0]]])
        >>> bier_loss(x, tf.constant([0, 0, 1])).numpy().round(3)
        array([13.025], dtype=float32)

    Args:
      learner_embeddings: `[batch, learners, dim]` float32, unit length.
      labels: `[batch]` integer classes.
      negative_cost: How much steeper pairs of two classes are.
      boosting: "frank_wolfe" or "simple".

    Returns:
      `[learners]` float32, at least 0.
    """
    same = same_class(labels)
    turned = _ALPHA * tf.where(same, 1.0, -negative_cost)
    activations = turned * (cosines(learner_embeddings) - _BETA)
    weights = boosting_weights(activations, same, boosting)
    costs = tf.nn.softplus(-activations) * weights
    total = tf.zeros(tf.shape(costs)[:1])
    for pairs, counted in ((positive_pairs(same), same), (~same, ~same)):
        count = tf.math.count_nonzero(counted, dtype=tf.float32)
        of_kind = tf.reduce_sum(tf.where(pairs, costs, 0.0), [1, 2])
        total += tf.math.divide_no_nan(of_kind, count)
    return total / learner_embeddings.shape[1]


def boosting_weights(
    activations: tf.Tensor, same: tf.Tensor, boosting: str
) -> tf.Tensor:
    """What each pair counts for each learner, by those before it.

    Args:
      activations: `[learners, batch, batch]` float32.
      same: `[batch, batch]` bool, pairs of one class.
      boosting: "frank_wolfe" or "simple".

    Returns:
      `[learners, batch, batch]` float32, without a gradient.
    """
    known = tf.unstack(tf.stop_gradient(activations))
    weights = [tf.ones_like(known[0])]
    simple = boosting == "simple"
    reached = tf.fill(tf.shape(known[0]), _START if simple else 0.0)
    for number, activation in enumerate(known[:-1], 1):
        step = 2 / (number + 1)
        if simple:
            reached += _STEP * activation
        else:
            reached = (1 - step) * reached + step * activation
        wrong = tf.sigmoid(-reached)
        if simple:
            wrong *= tf.where(same, 1.0, _NEGATIVE_WEIGHT)
        weights.append(wrong)
    return tf.stack(weights)
