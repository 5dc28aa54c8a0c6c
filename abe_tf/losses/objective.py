"""The sum that a run minimises: the paper's total loss."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses import table
from abe_tf.losses.divergence import divergence_loss
from abe_tf.losses.metric import LinearLayers, LossBatch, MetricLoss, Sizes


@dataclasses.dataclass(frozen=True)
class LossTerms:
    """The terms of one global batch, float32.

    Attributes:
      metric: `[learners]`: what each minimises, the contrastive loss or another, with
        the penalty of lengths where these are free.
      divergence: Scalar, before it is weighted.
      weighted_divergence: Scalar: lambda_div * divergence, 0 before its first step.
      total: Scalar: sum of metric + weighted divergence, and what the metric loss adds
        of the network.
      scalars: What the metric loss tells of the batch, by TensorBoard tag.
    """

    metric: tf.Tensor
    divergence: tf.Tensor
    weighted_divergence: tf.Tensor
    total: tf.Tensor
    scalars: dict[str, tf.Tensor] = dataclasses.field(default_factory=dict)


def ensemble_loss(
    learner_embeddings: tf.Tensor,
    labels: tf.Tensor,
    config: LossConfig,
    metric: MetricLoss | None = None,
    seed: tf.Tensor | None = None,
    linear: LinearLayers | None = None,
) -> LossTerms:
    """The loss of a global batch.

        >>> x = tf.constant([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
        >>> terms = ensemble_loss(x, tf.constant([0, 1]), LossConfig(lambda_div=0.1))
        >>> terms.metric.numpy(), float(terms.divergence), float(terms.total)
        (array([1., 1.], dtype=float32), 0.0, 2.0)

    Args:
      learner_embeddings: `[batch, learners, dim]` float32, unit length; of any with
        `--embedding_norm=free`.
      labels: `[batch]` integer classes.
      config: Which metric loss, margins, distance, reduction and the weight of the
        divergence.
      metric: What `table.create` gave of it; made anew where `None`, for losses that
        have no variables.
      seed: `[2]` integers, seed and step, for losses that draw and for a divergence
        that starts later; zeros where `None`.
      linear: The network's last layers, for losses that look at them.

    Raises:
      ValueError: The loss has variables, and was not given.
    """
    if metric is None:
        sizes = Sizes(*learner_embeddings.shape[1:], classes=())
        metric = table.create(config, sizes)
        if metric.trainable_variables:
            raise ValueError(f"{config.metric_loss} has variables: it must be given.")
    seed = tf.zeros([2], tf.int64) if seed is None else seed
    batch = LossBatch(learner_embeddings, labels, seed, linear)
    values, scalars = metric(batch)
    if config.embedding_norm == "free":
        squares = tf.reduce_sum(tf.square(learner_embeddings), axis=2)
        values += config.norm_weight / 2 * tf.reduce_mean(squares, axis=0)
        scalars["embedding/length"] = tf.reduce_mean(tf.sqrt(squares))
    divergence = divergence_loss(
        unit_length(learner_embeddings, config),
        config.margin_divergence,
        config.distance,
        config.loss_reduction,
    )
    weighted = config.lambda_div * divergence
    if config.divergence_start_step:
        _, step = tf.unstack(batch.seed)
        weighted *= tf.cast(step >= config.divergence_start_step, weighted.dtype)
    total = tf.reduce_sum(values) + weighted
    of_network = metric.of_network(batch)
    if of_network is not None:
        total += of_network
        scalars["loss/of_network"] = of_network
    return LossTerms(values, divergence, weighted, total, scalars)


def unit_length(learner_embeddings: tf.Tensor, config: LossConfig) -> tf.Tensor:
    """The embeddings as retrieval has them."""
    if config.embedding_norm == "unit":
        return learner_embeddings
    return tf.math.l2_normalize(learner_embeddings, axis=-1)
