"""Multi-similarity loss (Wang et al., CVPR 2019, equations 10 to 15), of cosines S.

kept positives of i: S_ik < the largest S of its negatives + epsilon
kept negatives of i: S_ik > the smallest S of its positives - epsilon
L = mean over i of 1/alpha log(1 + sum over kept positives of exp(-alpha (S - base)))
                 + 1/beta  log(1 + sum over kept negatives of exp(beta (S - base)))
"""

from __future__ import annotations

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses.metric import AllLearners, MetricLoss, Sizes
from abe_tf.losses.pairwise import cosines, positive_pairs, same_class
from abe_tf.losses.stable import log_one_plus_sum


def create(config: LossConfig, sizes: Sizes) -> MetricLoss:
    """The loss that the flags describe."""
    return AllLearners(
        lambda embeddings, labels: multi_similarity_loss(
            embeddings,
            labels,
            config.multi_similarity_alpha,
            config.multi_similarity_beta,
            config.multi_similarity_base,
            config.multi_similarity_epsilon,
        )
    )


def multi_similarity_loss(
    learner_embeddings: tf.Tensor,
    labels: tf.Tensor,
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 0.5,
    epsilon: float = 0.1,
) -> tf.Tensor:
    """The loss of each learner.

        >>> x = tf.constant([[[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 1.0]]])
        >>> multi_similarity_loss(x, tf.constant([0, 0, 1])).numpy().round(3)
        array([0.604], dtype=float32)

    Args:
      learner_embeddings: `[batch, learners, dim]` float32, unit length.
      labels: `[batch]` integer classes.
      alpha: Steepness of positives.
      beta: Steepness of negatives.
      base: Cosine that positives are to be above and negatives below; the paper's
        lambda.
      epsilon: Slack of what is kept.

    Returns:
      `[learners]` float32, at least 0.
    """
    similarities = cosines(learner_embeddings)
    same = same_class(labels)
    positive, negative = positive_pairs(same), ~same
    # Beyond every cosine where an image has no such pair: then nothing is kept.
    known = tf.stop_gradient(similarities)
    hardest_negative = tf.reduce_max(tf.where(negative, known, -9.0), 2, keepdims=True)
    hardest_positive = tf.reduce_min(tf.where(positive, known, 9.0), 2, keepdims=True)
    positives = positive & (known < hardest_negative + epsilon)
    negatives = negative & (known > hardest_positive - epsilon)
    costs = (
        log_one_plus_sum(-alpha * (similarities - base), positives, axis=2) / alpha
        + log_one_plus_sum(beta * (similarities - base), negatives, axis=2) / beta
    )
    return tf.reduce_mean(costs, axis=1)
