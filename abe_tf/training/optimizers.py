"""Optimizers and learning rates from the training flags."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from abe_tf.config.training import TrainingConfig
from abe_tf.training import keras_internals, lamb

# Neither biases nor batch normalisation decay. Matched anywhere in a variable's name.
_NO_DECAY = ["bias", "gamma", "beta"]
# Learning rate of the loss' variables by default: this times the encoder's.
_LOSS_TIMES = 50.0
# Of rho, as MetaBIN's authors released it.
_RHO_TIMES = 10.0
_LossScale = tf.keras.mixed_precision.LossScaleOptimizer


@dataclasses.dataclass(frozen=True)
class Optimizers:
    """Two optimizers of one kind, one for the variables of the loss, one for rho.

    One would not do: Adam's steps do not grow with the gradient, so a multiple of the
    learning rate is no multiple of the gradient.

    Attributes:
      encoder: For all variables but those of new layers.
      new_layers: For the layers without pretrained weights.
      loss: For the variables of the loss; `None` where it has none.
      rho: For the mixtures of normalisations; `None` where there are none.
      clip_norm: Norm that all gradients together are scaled down to; 0 for none.
    """

    encoder: Any
    new_layers: Any
    loss: Any = None
    rho: Any = None
    clip_norm: float = 0.0

    def by_group(self) -> dict[str, Any]:
        """The optimizers by the name of what they train."""
        groups = {"encoder": self.encoder, "new_layers": self.new_layers}
        groups |= {"loss": self.loss, "rho": self.rho}
        return {name: one for name, one in groups.items() if one is not None}

    def learning_rates(self) -> dict[str, float]:
        """The rates of the next step."""
        rates = {}
        for name, optimizer in self.by_group().items():
            rate = optimizer.learning_rate
            if callable(rate):  # a schedule, of the legacy kind
                rate = rate(optimizer.iterations)
            # Of several replicas' copies, a tensor is this one's.
            rates[name] = float(tf.convert_to_tensor(rate))
        return rates

    def build(self, groups: Sequence[Sequence[tf.Variable]]) -> None:
        """Makes the slots of the variables of each group."""
        for optimizer, variables in zip(self.by_group().values(), groups, strict=True):
            if hasattr(optimizer, "build"):
                optimizer.build(variables)
            else:  # of Keras' legacy kind
                keras_internals.build_legacy(optimizer, variables)

    def scaled(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss times the loss scale, where there is one."""
        if self.loss_scale() is None:
            return loss
        # All scale loss and gradients alike, and each wants to be asked.
        first, *_ = [o.get_scaled_loss(loss) for o in self.by_group().values()]
        return first

    def unscaled(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        """Gradients of the loss from those of the scaled loss."""
        if self.loss_scale() is None:
            return gradients
        optimizers = self.by_group().values()
        first, *_ = [o.get_unscaled_gradients(gradients) for o in optimizers]
        return first

    def loss_scale(self) -> tf.Tensor | None:
        """The loss scale of float16; `None` in other precisions."""
        if not isinstance(self.encoder, _LossScale):
            return None
        return self.encoder.loss_scale

    def apply(
        self,
        gradients: list[tf.Tensor],
        norm: tf.Tensor,
        groups: Sequence[Sequence[tf.Variable]],
    ) -> None:
        """Trains all groups with gradients that are summed over the replicas.

        Args:
          gradients: Gradients of the variables, group after group.
          norm: Norm of all gradients together.
          groups: Variables by group, in the order of `by_group`.
        """
        if self.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self.clip_norm, norm)
        if self.loss_scale() is not None:
            # Where one overflows, all optimizers pass over the step and halve their
            # scale, which so stays the same.
            poison = tf.where(tf.math.is_finite(norm), 0.0, float("nan"))
            gradients = [gradient + poison for gradient in gradients]
        left = iter(gradients)
        for optimizer, variables in zip(self.by_group().values(), groups, strict=True):
            # An empty group: a network without a linear layer has no new variables.
            if variables:
                of_group = [next(left) for _ in variables]
                optimizer.apply_gradients(
                    zip(of_group, variables, strict=True), **_already_summed(optimizer)
                )

    def averages(self, variables: Sequence[tf.Variable]) -> list[tf.Variable] | None:
        """The moving averages of variables, in their order; `None` without any."""
        averages = {}
        kinds = (self.encoder, self.new_layers, self.rho)
        for optimizer in (_inner(one) for one in kinds if one is not None):
            if not getattr(optimizer, "use_ema", False):
                return None
            for variable in variables:
                kept = keras_internals.moving_average(optimizer, variable)
                if kept is not None:
                    averages[id(variable)] = kept
        return [averages[id(variable)] for variable in variables]


def _inner(optimizer: Any) -> Any:
    return optimizer.inner_optimizer if isinstance(optimizer, _LossScale) else optimizer


def _already_summed(optimizer: Any) -> dict[str, bool]:
    if isinstance(optimizer, tf.keras.optimizers.legacy.Optimizer):
        return {"experimental_aggregate_gradients": False}
    return {"skip_gradients_aggregation": True}


def create(
    config: TrainingConfig,
    precision: str = "float32",
    for_loss: bool = False,
    loss_times: float = _LOSS_TIMES,
    for_rho: bool = False,
) -> Optimizers:
    """Builds all optimizers; call it within the strategy's scope.

    Args:
      config: The training flags.
      precision: float16 scales the loss, so that small gradients do not vanish.
      for_loss: Whether the loss has variables.
      loss_times: Their learning rate by the encoder's, where no rate is given.
      for_rho: Whether the network has mixtures of normalisations.
    """
    made = {
        "encoder": _create(config, config.learning_rate),
        "new_layers": _create(
            config, config.learning_rate * config.new_layer_multiplier
        ),
    }
    if for_loss:
        made["loss"] = _for_loss(config, loss_times)
    if for_rho:
        made["rho"] = _for_rho(config)
    if precision == "float16":
        made = {name: _LossScale(one) for name, one in made.items()}
    return Optimizers(**made, clip_norm=config.clip_norm)


def _for_loss(config: TrainingConfig, times: float) -> Any:
    """Of the loss' variables: without decay, which would pull them to nothing."""
    rate = config.loss_learning_rate
    if rate is None:
        rate = times * config.learning_rate
    schedule = learning_rate(config, rate)
    if config.loss_optimizer == "sgd":
        return tf.keras.optimizers.SGD(schedule, momentum=config.momentum)
    kinds = {"adam": tf.keras.optimizers.Adam, "rmsprop": tf.keras.optimizers.RMSprop}
    kind = kinds[config.loss_optimizer]
    return kind(schedule, epsilon=config.optimizer_epsilon)


def _for_rho(config: TrainingConfig) -> Any:
    """Of rho: without momentum, decay and schedule, as released."""
    return Bounded(rho_rate(config), **_averaging(config))


def rho_rate(config: TrainingConfig) -> float:
    """Learning rate of rho."""
    if config.rho_learning_rate is None:
        return _RHO_TIMES * config.learning_rate
    return config.rho_learning_rate


def _create(config: TrainingConfig, rate: float) -> Any:
    schedule = learning_rate(config, rate)
    if config.optimizer == "lamb":
        return lamb.create(schedule, config.weight_decay, _NO_DECAY)
    common = {"weight_decay": config.weight_decay or None, **_averaging(config)}
    if config.optimizer == "sgd":
        optimizer = tf.keras.optimizers.SGD(
            schedule, momentum=config.momentum, **common
        )
    else:
        kinds = {
            "adam": tf.keras.optimizers.Adam,
            "adamw": tf.keras.optimizers.AdamW,
            "rmsprop": tf.keras.optimizers.RMSprop,
        }
        kind = kinds[config.optimizer]
        optimizer = kind(schedule, epsilon=config.optimizer_epsilon, **common)
    if config.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=_NO_DECAY)
    return optimizer


def _averaging(config: TrainingConfig) -> dict[str, Any]:
    if not config.ema_momentum:
        return {}
    return {"use_ema": True, "ema_momentum": config.ema_momentum}


def learning_rate(
    config: TrainingConfig, rate: float
) -> tf.keras.optimizers.schedules.LearningRateSchedule | float:
    """The rate over the steps of a run, `rate` at the start or after the warm-up."""
    scheduled = _schedule(config, rate)
    if config.warmup_steps:
        return WarmUp(scheduled, config.warmup_steps)
    return scheduled


def _schedule(
    config: TrainingConfig, rate: float
) -> tf.keras.optimizers.schedules.LearningRateSchedule | float:
    schedules = tf.keras.optimizers.schedules
    if config.schedule == "cosine":
        return schedules.CosineDecay(rate, max(1, config.steps))
    if config.schedule == "step":
        every = config.decay_steps or max(1, config.steps // 3)
        return schedules.ExponentialDecay(
            rate, every, config.decay_factor, staircase=True
        )
    return rate


class Bounded(tf.keras.optimizers.SGD):
    """Gradient descent that stays within [0, 1], and its averages too."""

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Moves a variable, and clips it."""
        super().update_step(gradient, variable)
        variable.assign(tf.clip_by_value(variable, 0.0, 1.0))


class WarmUp(tf.keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that rises in even steps first.

    Args:
      schedule: A rate, or the rate by step.
      steps: Number of steps; the first has 1 / steps of the rate, the last all of it.
    """

    def __init__(
        self,
        schedule: tf.keras.optimizers.schedules.LearningRateSchedule | float,
        steps: int,
    ) -> None:
        super().__init__()
        self._schedule, self._steps = schedule, steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The rate of a step, counted from 0."""
        rate = self._schedule(step) if callable(self._schedule) else self._schedule
        share = (tf.cast(step, tf.float32) + 1) / self._steps
        return tf.minimum(1.0, share) * rate

    def get_config(self) -> dict[str, Any]:
        return {"schedule": self._schedule, "steps": self._steps}
