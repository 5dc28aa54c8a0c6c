"""From the flags of a run to what is trained: network, loss and their optimizers."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from abe_tf.losses import table
from abe_tf.losses.metric import Sizes
from abe_tf.models.build import build
from abe_tf.models.ensemble import PARTS, new_layer_variables
from abe_tf.runs import trained
from abe_tf.runs.flags import RunFlags
from abe_tf.training import optimizers, strategies
from abe_tf.training.trainer import EnsembleTrainer


def build_trainer(
    run: RunFlags,
    labels: Sequence[int],
    strategy: tf.distribute.Strategy,
    stop: tf.Variable | None,
    begun: bool,
) -> EnsembleTrainer:
    """Builds a trainer, ready for a checkpoint; call it in the strategy's scope.

    Args:
      run: The flags.
      labels: Those of the classes that train, in order.
      strategy: Where it trains.
      stop: As for `EnsembleTrainer`.
      begun: Whether a checkpoint follows, so that no other weights are wanted.

    Raises:
      InputError: Weights cannot be had, or do not fit.
    """
    model, training = run.model, run.training
    network = build(model, run.data.image_size)
    if training.init_from and not begun:
        # Before the optimizers: their moving averages start from these weights.
        trained.initialise(network, training.init_from)
    sizes = Sizes(*network.output_shape[1:], classes=tuple(labels))
    metric = table.create(run.loss, sizes)
    new = new_layer_variables(network)
    trainer = EnsembleTrainer(
        network, new, run.loss, PARTS, stop, metric, training.seed
    )
    own = bool(metric.trainable_variables)
    compiles = strategies.compiles(strategy, training.jit)
    trainer.compile(
        optimizers.create(training, model.precision, own),
        jit_compile=compiles and metric.compilable,
    )
    return trainer
