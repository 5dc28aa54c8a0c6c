"""The sum that a run minimises: the paper's total loss."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses.contrastive import contrastive_loss
from abe_tf.losses.divergence import divergence_loss


@dataclasses.dataclass(frozen=True)
class LossTerms:
    """The terms of one global batch; scalars, float32.

    Attributes:
      contrastive: Sum over the learners.
      divergence: Before it is weighted.
      total: contrastive + lambda_div * divergence.
    """

    contrastive: tf.Tensor
    divergence: tf.Tensor
    total: tf.Tensor


def ensemble_loss(
    learner_embeddings: tf.Tensor, labels: tf.Tensor, config: LossConfig
) -> LossTerms:
    """The loss of a global batch.

    Args:
      learner_embeddings: `[batch, learners, dim]` float32, unit length.
      labels: `[batch]` integer classes.
      config: Margins, distance, reduction and the weight of the divergence.
    """
    contrastive = contrastive_loss(
        learner_embeddings,
        labels,
        config.margin_contrastive,
        config.distance,
        config.loss_reduction,
    )
    divergence = divergence_loss(
        learner_embeddings,
        config.margin_divergence,
        config.distance,
        config.loss_reduction,
    )
    contrastive_sum = tf.reduce_sum(contrastive)
    total = contrastive_sum + config.lambda_div * divergence
    return LossTerms(contrastive_sum, divergence, total)
