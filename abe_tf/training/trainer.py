"""The Keras model whose train step minimises the ensemble's loss."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses.metric import LinearLayers, MetricLoss
from abe_tf.losses.objective import LossTerms, ensemble_loss, unit_length
from abe_tf.losses.statistics import batch_statistics
from abe_tf.training.meta import MetaStep
from abe_tf.training.optimizers import Optimizers
from abe_tf.training.replicas import gathered, summed

# What a failure is told of, in the order of `EnsembleTrainer.failure`.
_FALLIBLE = (
    *("the metric loss", "the divergence loss", "the gradient's norm"),
    "the meta update",
)


class EnsembleTrainer(tf.keras.Model):
    """Trains a network of learner embeddings under any `tf.distribute` strategy.

    Each replica embeds its part of the global batch, gathers the embeddings of all
    parts, and computes the loss of the global batch: pairs across replicas count, and
    so do the numbers of active pairs that the means divide by. Build it within the
    strategy's scope.

    Args:
      network: uint8 pixels to learner embeddings `[batch, learners, dim]`.
      new_variables: Its variables that the second optimizer trains.
      loss: Which loss, margins, distance, reduction, balance.
      parts: Names of the network's parts by the beginning of their layers' names, for
        the norms of the gradients.
      stop_requested: Where several processes train together: a variable of this one
        alone, not 0 where it wants all to stop.
      metric: The metric loss, with its variables; made from `loss` where `None`.
      seed: What is drawn from, with the step.
      seen: From pixels to what the losses see: learner embeddings and, with `kernels`,
        the pooled features; what `network` gives where `None`.
      rhos: Its variables that say how normalisations mix.
      meta: What trains those on a second batch; with all else where `None`.
      kernels: Matrices from the pooled features to each learner, where the metric loss
        looks at those.

    Attributes:
      step: Steps done.
    """

    def __init__(
        self,
        network: tf.keras.Model,
        new_variables: list[tf.Variable],
        loss: LossConfig,
        parts: dict[str, str] | None = None,
        stop_requested: tf.Variable | None = None,
        metric: MetricLoss | None = None,
        seed: int = 0,
        seen: tf.keras.Model | None = None,
        kernels: Sequence[tf.Variable] = (),
        rhos: Sequence[tf.Variable] = (),
        meta: MetaStep | None = None,
    ) -> None:
        super().__init__(name="trainer")
        # Every replica reports the global batch; Keras would add the reports up.
        self.distribute_reduction_method = "first"
        self.network = network
        self._loss = loss
        self._metric, self._seed, self._meta = metric, seed, meta
        self._stop_requested = stop_requested
        self._seen = network if seen is None else seen
        self._kernels = tuple(kernels)
        new, mixtures = ({id(v) for v in group} for group in (new_variables, rhos))
        trainable = network.trainable_variables
        self._new_variables = [v for v in trainable if id(v) in new]
        self._rhos = [v for v in trainable if id(v) in mixtures]
        self._encoder_variables = [
            v for v in trainable if id(v) not in new and id(v) not in mixtures
        ]
        self._loss_variables = list(metric.trainable_variables) if metric else []
        self._part_of = _parts_of_variables(network, parts or {})
        self._part_of |= {id(variable): "loss" for variable in self._loss_variables}
        self._part_of |= {id(variable): "rho" for variable in self._rhos}
        self.step = _counter(0, "step")
        self._failed_step = _counter(-1, "failed_step")
        self._failed_terms = tf.Variable(
            tf.zeros([len(_FALLIBLE)]),
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def compile(self, optimizers: Optimizers, **kwargs: Any) -> None:
        """Takes all optimizers and makes their slots, so that a checkpoint fits."""
        # Keras' own optimizer stays unused: at the end of `fit` it would overwrite
        # weights with its averages.
        super().compile(**kwargs)
        self.encoder_optimizer = optimizers.encoder
        self.new_layer_optimizer = optimizers.new_layers
        self._optimizers = optimizers
        optimizers.build(self._groups())

    def _groups(self) -> list[list[tf.Variable]]:
        """The variables of each optimizer."""
        others = [group for group in (self._loss_variables, self._rhos) if group]
        return [self._encoder_variables, self._new_variables, *others]

    def state_of_loss(self) -> dict[str, Any]:
        """What a checkpoint holds of the loss; nothing where it has no variables."""
        if not self._loss_variables:
            return {}
        return {"metric_loss": self._metric, "loss_optimizer": self._optimizers.loss}

    def state_of_rho(self) -> dict[str, Any]:
        """What a checkpoint holds beside the mixtures; nothing where there are none."""
        return {"rho_optimizer": self._optimizers.rho} if self._rhos else {}

    def call(self, pixels: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Embeds uint8 RGB `[batch, height, width, 3]`."""
        return self.network(pixels, training=training)

    @tf.autograph.experimental.do_not_convert
    def train_step(self, data: tuple) -> dict[str, tf.Tensor]:
        """One step on a replica's part of the global batch.

        Args:
          data: uint8 RGB `[batch, height, width, 3]` and integer labels `[batch]`;
            where there is a meta update two of these, the second for it.

        Returns:
          Scalars of the global batch by TensorBoard tag.
        """
        if self._meta is None:
            return self._base_step(data)
        base, of_domains = data
        # Before the step counts itself.
        step = tf.identity(self.step)
        scalars = self._base_step(base)
        # What the base update has written, the meta update reads.
        optimizer = self._optimizers.rho
        of_meta = self._meta(self._seen, of_domains, optimizer, step)
        self._note([0.0, 0.0, 0.0, tf.add_n(list(of_meta.values()))], step)
        return {**scalars, **of_meta}

    def _base_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        pixels, local_labels = data
        replica = tf.distribute.get_replica_context()
        # TensorFlow gathers between processes what it knows the device of, which it
        # does not of what comes from a data set.
        labels = replica.all_gather(tf.identity(local_labels), axis=0)
        with tf.GradientTape() as tape:
            seen = [
                gathered(local, replica)
                for local in tf.nest.flatten(self._seen(pixels, training=True))
            ]
            learners, linear = seen[0], None
            if self._kernels:
                linear = LinearLayers(seen[1], self._kernels)
            terms = ensemble_loss(
                learners, labels, self._loss, self._metric, self.drawn_from(), linear
            )
            # Every replica computes the same global loss, and the gradients of all
            # replicas are summed.
            share = terms.total / replica.num_replicas_in_sync
            scaled = self._optimizers.scaled(share)
        norms = self._apply(tape, scaled)
        self._note_failure(terms, learners, norms["gradient_norm/all"])
        self.step.assign_add(1)
        scalars = {
            **_loss_scalars(terms),
            **batch_statistics(
                unit_length(learners, self._loss),
                labels,
                self._loss.margin_contrastive,
                self._loss.hinged_distance,
            ),
            **norms,
        }
        if self._stop_requested is not None:
            scalars["stop"] = replica.all_reduce(
                tf.distribute.ReduceOp.SUM, tf.identity(self._stop_requested)
            )
        return scalars

    def drawn_from(self) -> tf.Tensor:
        """Seed and step, `[2]` int64: what is drawn in a step is drawn from these."""
        return tf.stack([tf.constant(self._seed, tf.int64), self.step])

    def _apply(self, tape: tf.GradientTape, loss: tf.Tensor) -> dict[str, tf.Tensor]:
        """Trains all variables; gives the norms of the gradients by part."""
        groups = self._groups()
        if self._meta is not None:
            *others, _ = groups
            groups = [*others, []]
        variables = [variable for group in groups for variable in group]
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        replica = tf.distribute.get_replica_context()
        gradients = self._optimizers.unscaled(summed(gradients, replica))
        norms = self._norms(gradients, variables)
        self._optimizers.apply(gradients, norms["gradient_norm/all"], groups)
        return norms

    def _norms(
        self, gradients: Sequence[tf.Tensor], variables: Sequence[tf.Variable]
    ) -> dict[str, tf.Tensor]:
        by_part: dict[str, list[tf.Tensor]] = {"all": list(gradients)}
        for gradient, variable in zip(gradients, variables, strict=True):
            part = self._part_of.get(id(variable))
            if part is not None:
                by_part.setdefault(part, []).append(gradient)
        return {
            f"gradient_norm/{part}": tf.linalg.global_norm(of_part)
            for part, of_part in by_part.items()
        }

    def _note_failure(
        self, terms: LossTerms, learners: tf.Tensor, norm: tf.Tensor
    ) -> None:
        """Remembers the first step that was not finite.

        In the graph, so that no step waits until the host has looked at it.
        """
        # Comparisons pass over what is no number: a loss may be finite without.
        known = tf.reduce_all(tf.math.is_finite(learners))
        of_network = terms.scalars.get("loss/of_network", 0.0)
        metric = tf.reduce_sum(terms.metric) + of_network
        metric = tf.where(known, metric, float("nan"))
        if self._optimizers.loss_scale() is not None:
            # Loss scaling is there to meet gradients that overflow.
            norm = tf.zeros_like(norm)
        self._note([metric, terms.divergence, norm, 0.0], self.step)

    def _note(self, terms: list, step: tf.Tensor) -> None:
        values = tf.stack(terms)
        failed = tf.reduce_any(~tf.math.is_finite(values)) & (self._failed_step < 0)
        self._failed_terms.assign(tf.where(failed, values, self._failed_terms))
        self._failed_step.assign(tf.where(failed, step, self._failed_step))

    def failure(self) -> tuple[int, dict[str, float]] | None:
        """The first step with a loss or gradient that is not finite, or `None`.

        Returns:
          The number of steps before it, and its terms that were not finite.
        """
        step = int(tf.convert_to_tensor(self._failed_step))
        if step < 0:
            return None
        values = tf.convert_to_tensor(self._failed_terms)
        named = zip(_FALLIBLE, values.numpy().tolist(), strict=True)
        return step, {
            name: value for name, value in named if not abs(value) < float("inf")
        }

    def learning_rates(self) -> dict[str, float]:
        """The learning rate of the next step by the name of the group."""
        return self._optimizers.learning_rates()

    def averages(self) -> list[tf.Variable] | None:
        """The moving averages of `network.trainable_variables`, in their order."""
        return self._optimizers.averages(self.network.trainable_variables)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the network has its averaged weights, where there are any."""
        averages = self.averages()
        if averages is None:
            yield
            return
        variables = self.network.trainable_variables
        kept = [variable.numpy() for variable in variables]
        for variable, average in zip(variables, averages, strict=True):
            variable.assign(tf.convert_to_tensor(average))
        try:
            yield
        finally:
            for variable, value in zip(variables, kept, strict=True):
                variable.assign(value)


def _counter(value: int, name: str) -> tf.Variable:
    return tf.Variable(
        value,
        dtype=tf.int64,
        trainable=False,
        name=name,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )


def _parts_of_variables(
    network: tf.keras.Model, parts: dict[str, str]
) -> dict[int, str]:
    """The part that each trainable variable belongs to, by the variable's id."""
    part_of: dict[int, str] = {}
    for layer in network.layers:
        for beginning, part in parts.items():
            if layer.name.startswith(beginning):
                part_of |= {
                    id(variable): part for variable in layer.trainable_variables
                }
    return part_of


def _loss_scalars(terms: LossTerms) -> dict[str, tf.Tensor]:
    metric = tf.reduce_sum(terms.metric)
    by_learner = tf.unstack(terms.metric)
    return {
        "loss/total": terms.total,
        "loss/metric": metric,
        "loss/divergence": terms.divergence,
        "loss/divergence_to_metric": tf.math.divide_no_nan(
            terms.weighted_divergence, metric
        ),
        **{
            f"loss/metric/learner_{number}": loss
            for number, loss in enumerate(by_learner, 1)
        },
        **terms.scalars,
    }
