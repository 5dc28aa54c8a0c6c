"""The Keras model whose train step minimises the ensemble's loss."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses.objective import ensemble_loss
from abe_tf.losses.statistics import batch_statistics
from abe_tf.training.optimizers import Optimizers


class EnsembleTrainer(tf.keras.Model):
    """Trains a network of learner embeddings under any `tf.distribute` strategy.

    Each replica embeds its part of the global batch, gathers the embeddings of all
    parts, and computes the loss of the global batch: pairs across replicas count, and
    so do the numbers of active pairs that the means divide by.

    Args:
      network: uint8 pixels to learner embeddings `[batch, learners, dim]`.
      new_variables: Those of its variables that the second optimizer trains.
      loss: Margins, distance, reduction, balance.
    """

    def __init__(
        self,
        network: tf.keras.Model,
        new_variables: list[tf.Variable],
        loss: LossConfig,
    ) -> None:
        super().__init__(name="trainer")
        # Every replica reports the global batch; Keras would add the reports up.
        self.distribute_reduction_method = "first"
        self.network = network
        self._loss = loss
        new = {id(variable) for variable in new_variables}
        trainable = network.trainable_variables
        self._new_variables = [v for v in trainable if id(v) in new]
        self._encoder_variables = [v for v in trainable if id(v) not in new]

    def compile(self, optimizers: Optimizers, **kwargs: Any) -> None:
        """Takes both optimizers and makes their slots, so that a checkpoint fits."""
        super().compile(optimizer=optimizers.encoder, **kwargs)
        self.new_layer_optimizer = optimizers.new_layers
        self.optimizer.build(self._encoder_variables)
        self.new_layer_optimizer.build(self._new_variables)

    def call(self, pixels: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Embeds uint8 RGB `[batch, height, width, 3]`."""
        return self.network(pixels, training=training)

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step on a replica's part of the global batch.

        Args:
          data: uint8 RGB `[batch, height, width, 3]` and integer labels `[batch]`.

        Returns:
          Scalars of the global batch by TensorBoard tag.
        """
        pixels, local_labels = data
        replica = tf.distribute.get_replica_context()
        labels = replica.all_gather(local_labels, axis=0)
        with tf.GradientTape() as tape:
            local = self.network(pixels, training=True)
            learners = replica.all_gather(local, axis=0)
            # Gathering forgets all static sizes.
            learners = tf.ensure_shape(learners, [None, *local.shape[1:]])
            terms = ensemble_loss(learners, labels, self._loss)
            # Every replica computes the same global loss, and the gradients of all
            # replicas are summed.
            share = terms.total / replica.num_replicas_in_sync
        self._apply(tape, share)
        ratio = self._loss.lambda_div * terms.divergence
        return {
            "loss/total": terms.total,
            "loss/contrastive": terms.contrastive,
            "loss/divergence": terms.divergence,
            "loss/divergence_to_contrastive": tf.math.divide_no_nan(
                ratio, terms.contrastive
            ),
            **batch_statistics(
                learners, labels, self._loss.margin_contrastive, self._loss.distance
            ),
        }

    def _apply(self, tape: tf.GradientTape, loss: tf.Tensor) -> None:
        encoder, new = self._encoder_variables, self._new_variables
        gradients = tape.gradient(loss, encoder + new)
        # An empty group: a network without a linear layer has no new variables.
        if encoder:
            self.optimizer.apply_gradients(
                zip(gradients[: len(encoder)], encoder, strict=True)
            )
        if new:
            self.new_layer_optimizer.apply_gradients(
                zip(gradients[len(encoder) :], new, strict=True)
            )
