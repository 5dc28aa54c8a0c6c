"""Optimizers and learning rates from the training flags."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from abe_tf.config.training import TrainingConfig

# Neither biases nor batch normalisation decay. Matched anywhere in a variable's name.
_NO_DECAY = ["bias", "gamma", "beta"]


@dataclasses.dataclass(frozen=True)
class Optimizers:
    """Two optimizers of one kind.

    One would not do: Adam's steps do not grow with the gradient, so a multiple of the
    learning rate is no multiple of the gradient.

    Attributes:
      encoder: For all variables but those of new layers.
      new_layers: For the layers without pretrained weights.
    """

    encoder: tf.keras.optimizers.Optimizer
    new_layers: tf.keras.optimizers.Optimizer


def create(config: TrainingConfig) -> Optimizers:
    """Builds both optimizers; call it within the strategy's scope."""
    return Optimizers(
        encoder=_create(config, config.learning_rate),
        new_layers=_create(config, config.learning_rate * config.new_layer_multiplier),
    )


def _create(config: TrainingConfig, rate: float) -> tf.keras.optimizers.Optimizer:
    schedule = learning_rate(config, rate)
    decay = config.weight_decay or None
    if config.optimizer == "adam":
        optimizer = tf.keras.optimizers.Adam(schedule, weight_decay=decay)
    else:
        optimizer = tf.keras.optimizers.SGD(
            schedule, momentum=config.momentum, weight_decay=decay
        )
    if decay:
        optimizer.exclude_from_weight_decay(var_names=_NO_DECAY)
    return optimizer


def learning_rate(
    config: TrainingConfig, rate: float
) -> tf.keras.optimizers.schedules.LearningRateSchedule | float:
    """The rate over the steps of a run, `rate` at the start."""
    schedules = tf.keras.optimizers.schedules
    if config.schedule == "cosine":
        return schedules.CosineDecay(rate, max(1, config.steps))
    if config.schedule == "step":
        every = config.decay_steps or max(1, config.steps // 3)
        return schedules.ExponentialDecay(
            rate, every, config.decay_factor, staircase=True
        )
    return rate
