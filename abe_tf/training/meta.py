"""The meta update of a step: mixtures that help in domains that did not choose them.

From "Meta Batch-Instance Normalization" (Choi et al., CVPR 2021, section 3.3):

    inner   rho' = clip(rho - s grad (scatter + shuffle + triplet)(meta-train; rho))
    outer   rho <- clip(rho - rate grad triplet(meta-test; rho'))

s is the rate of rho times a number that rises and falls with the steps. The inner
gradient counts as a constant, as released, but with `meta_second_order`. The clip of
the inner step lets every gradient pass in both, as released: rho starts at its edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.config.meta import MetaConfig
from abe_tf.losses.domains import scatter_loss, shuffle_loss
from abe_tf.losses.triplet_hard import triplet_hard_loss
from abe_tf.training.replicas import gathered, summed

# What the inner step starts from, as a share of its largest.
_LOWEST = 0.01


class MetaStep:
    """Trains rho alone, on a batch of several domains.

    Args:
      config: Steps, and how many domains are meta-train.
      loss: The margin of the triplets.
      domains: D, domains in a batch.
      rhos: What it trains.
      mixing: Context in which the network mixes by other tensors than its rho, and
        keeps its running averages.
      rate: Learning rate of rho.
    """

    def __init__(
        self,
        config: MetaConfig,
        loss: LossConfig,
        domains: int,
        rhos: Sequence[tf.Variable],
        mixing: Any,
        rate: float,
    ) -> None:
        self._config, self._margin = config, loss.margin_hard
        self._domains, (self._train, _) = domains, config.split_of(domains)
        self._rhos, self._mixing, self._rate = list(rhos), mixing, rate

    def __call__(
        self,
        seen: tf.keras.Model,
        data: tuple[tf.Tensor, tf.Tensor],
        optimizer: Any,
        step: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """One update, on a replica's part of the global batch.

        Args:
          seen: From pixels to what the losses see.
          data: uint8 RGB `[batch, height, width, 3]` and integer labels `[batch]`;
            images of all domains in turn, those of meta-train first.
          optimizer: What moves rho.
          step: Steps done.

        Returns:
          Scalars of the global batch by TensorBoard tag.
        """
        replica = tf.distribute.get_replica_context()
        train, test = (self._part(data, *ends) for ends in self._ends())
        inner = self._rate * cycle(
            step, self._config.meta_cycle_steps, self._config.meta_step
        )
        with tf.GradientTape() as outer:
            if self._config.meta_second_order:
                gradients, costs = self._inner(seen, train, replica)
            else:
                with outer.stop_recording():
                    gradients, costs = self._inner(seen, train, replica)
            moved = [
                _clipped(rho - inner * gradient)
                for rho, gradient in zip(self._rhos, gradients, strict=True)
            ]
            with self._mixing(self._rhos, moved):
                embeddings, labels, _ = self._embedded(seen, test, replica)
            cost = tf.reduce_mean(triplet_hard_loss(embeddings, labels, self._margin))
            share = cost / replica.num_replicas_in_sync
        gradients = summed(outer.gradient(share, self._rhos), replica)
        optimizer.apply_gradients(
            zip(gradients, self._rhos, strict=True), skip_gradients_aggregation=True
        )
        every = tf.concat([tf.identity(rho) for rho in self._rhos], 0)
        return {
            **costs,
            "meta/test": cost,
            "meta/inner_step": inner,
            "rho/mean": tf.reduce_mean(every),
            "gradient_norm/rho": tf.linalg.global_norm(gradients),
        }

    def _ends(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return (0, self._train), (self._train, self._domains)

    def _part(
        self, data: tuple[tf.Tensor, tf.Tensor], first: int, end: int
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Pixels, labels and domains of some domains of this replica's images."""
        pixels, labels = data
        each = tf.reshape(pixels, [-1, self._domains, *pixels.shape[1:]])
        chosen = tf.reshape(each[:, first:end], [-1, *pixels.shape[1:]])
        of_each = tf.reshape(labels, [-1, self._domains])[:, first:end]
        domains = tf.broadcast_to(tf.range(first, end), tf.shape(of_each))
        return chosen, tf.reshape(of_each, [-1]), tf.reshape(domains, [-1])

    def _inner(
        self, seen: tf.keras.Model, part: Any, replica: Any
    ) -> tuple[list[tf.Tensor], dict[str, tf.Tensor]]:
        """Gradients of the losses of meta-train, and the losses."""
        with tf.GradientTape() as tape:
            with self._mixing([], []):
                embeddings, labels, domains = self._embedded(seen, part, replica)
            costs = {
                "meta/scatter": scatter_loss(embeddings, domains),
                "meta/shuffle": shuffle_loss(embeddings, labels, domains),
                "meta/triplet": triplet_hard_loss(embeddings, labels, self._margin),
            }
            # Of all learners alike, so that rates do not depend on their number.
            costs = {name: tf.reduce_mean(cost) for name, cost in costs.items()}
            share = tf.add_n(list(costs.values())) / replica.num_replicas_in_sync
        return summed(tape.gradient(share, self._rhos), replica), costs

    def _embedded(
        self, seen: tf.keras.Model, part: Any, replica: Any
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        pixels, labels, domains = part
        embeddings, *_ = tf.nest.flatten(seen(pixels, training=True))
        return (
            gathered(embeddings, replica),
            replica.all_gather(tf.identity(labels), axis=0),
            replica.all_gather(domains, axis=0),
        )


def cycle(step: tf.Tensor, period: int, highest: float) -> tf.Tensor:
    """A number that rises from a hundredth in even steps, and falls again.

    >>> [round(float(cycle(tf.constant(s), 10, 0.1)), 4) for s in (0, 5, 10)]
    [0.001, 0.1, 0.001]

    Args:
      step: Scalar integer, steps done.
      period: Steps until it is where it was.
      highest: What it rises to in half of them.
    """
    place = tf.cast(step % period, tf.float32) / period
    share = 1 - tf.abs(2 * place - 1)
    return highest * (_LOWEST + (1 - _LOWEST) * share)


def _clipped(values: tf.Tensor) -> tf.Tensor:
    """Within [0, 1]; the gradient passes as if nothing were clipped."""
    return values + tf.stop_gradient(tf.clip_by_value(values, 0.0, 1.0) - values)
