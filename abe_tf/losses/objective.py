"""The sum that a run minimises: the paper's total loss."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses import addons
from abe_tf.losses.contrastive import contrastive_loss
from abe_tf.losses.divergence import divergence_loss


@dataclasses.dataclass(frozen=True)
class LossTerms:
    """The terms of one global batch, float32.

    Attributes:
      metric: `[learners]`: what each minimises, the contrastive loss or another.
      divergence: Scalar, before it is weighted.
      total: Scalar: sum of metric + lambda_div * divergence.
    """

    metric: tf.Tensor
    divergence: tf.Tensor
    total: tf.Tensor


def ensemble_loss(
    learner_embeddings: tf.Tensor, labels: tf.Tensor, config: LossConfig
) -> LossTerms:
    """The loss of a global batch.

        >>> x = tf.constant([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
        >>> terms = ensemble_loss(x, tf.constant([0, 1]), LossConfig(lambda_div=0.1))
        >>> terms.metric.numpy(), float(terms.divergence), float(terms.total)
        (array([1., 1.], dtype=float32), 0.0, 2.0)

    Args:
      learner_embeddings: `[batch, learners, dim]` float32, unit length.
      labels: `[batch]` integer classes.
      config: Which metric loss, margins, distance, reduction and the weight of the
        divergence.
    """
    metric = metric_loss(learner_embeddings, labels, config)
    divergence = divergence_loss(
        learner_embeddings,
        config.margin_divergence,
        config.distance,
        config.loss_reduction,
    )
    total = tf.reduce_sum(metric) + config.lambda_div * divergence
    return LossTerms(metric, divergence, total)


def metric_loss(
    learner_embeddings: tf.Tensor, labels: tf.Tensor, config: LossConfig
) -> tf.Tensor:
    """The loss that `--metric_loss` names; `[learners]` float32, at least 0."""
    if config.metric_loss == "contrastive":
        return contrastive_loss(
            learner_embeddings,
            labels,
            config.margin_contrastive,
            config.distance,
            config.loss_reduction,
        )
    learners = tf.unstack(learner_embeddings, axis=1)
    return tf.stack([_addons_loss(one, labels, config) for one in learners])


def _addons_loss(
    embeddings: tf.Tensor, labels: tf.Tensor, config: LossConfig
) -> tf.Tensor:
    if config.metric_loss == "triplet_semihard":
        return addons.triplet_semihard_loss(
            embeddings, labels, config.margin_addons, config.distance
        )
    if config.metric_loss == "lifted_struct":
        return addons.lifted_struct_loss(embeddings, labels, config.margin_addons)
    if config.metric_loss == "npairs":
        return addons.npairs_loss(embeddings, labels, config.npairs_scale)
    raise NotImplementedError(f"--metric_loss={config.metric_loss}")
