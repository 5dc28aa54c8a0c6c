"""From the flags of a run to what is trained: network, loss and their optimizers."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.errors import InputError
from abe_tf.losses import table
from abe_tf.losses.metric import Sizes
from abe_tf.models import ensemble, renormalized
from abe_tf.models.build import build
from abe_tf.models.normalization import mixing
from abe_tf.runs import trained
from abe_tf.runs.flags import RunFlags
from abe_tf.training import optimizers, strategies
from abe_tf.training.meta import MetaStep
from abe_tf.training.trainer import EnsembleTrainer


def build_trainer(
    run: RunFlags,
    labels: Sequence[int],
    strategy: tf.distribute.Strategy,
    stop: tf.Variable | None,
    begun: bool,
    domains: int = 0,
) -> EnsembleTrainer:
    """Builds a trainer, ready for a checkpoint; call it in the strategy's scope.

    Args:
      run: The flags.
      labels: Those of the classes that train, in order.
      strategy: Where it trains.
      stop: As for `EnsembleTrainer`.
      begun: Whether a checkpoint follows, so that no other weights are wanted.
      domains: Number of domains in a batch of the meta update, where there is one.

    Raises:
      InputError: Weights cannot be had, or do not fit.
    """
    model, training = run.model, run.training
    network = build(model, run.data.image_size)
    if training.init_from and not begun:
        # Before the optimizers: their moving averages start from these weights.
        trained.initialise(network, training.init_from)
    layout = ensemble.layout_of(network)
    sizes = Sizes(*layout.shape, classes=tuple(labels), dims=layout.dims)
    metric = table.create(run.loss, sizes)
    seen, kernels = _seen(network, run.loss)
    # Those that do not train stay out.
    trains = {id(variable) for variable in network.trainable_variables}
    rhos = [rho for rho in renormalized.rhos(network).values() if id(rho) in trains]
    trainer = EnsembleTrainer(
        network,
        ensemble.new_layer_variables(network),
        run.loss,
        ensemble.PARTS,
        stop,
        metric,
        training.seed,
        seen,
        kernels,
        rhos,
        _meta(run, domains, rhos),
    )
    ensemble.draw_from(network, trainer.drawn_from)
    own = bool(metric.trainable_variables)
    compiles = strategies.compiles(strategy, training.jit)
    # XLA draws otherwise, and a run may go on where nothing is compiled.
    compiles = compiles and not ensemble.draws(network)
    trainer.compile(
        optimizers.create(
            training, model.precision, own, metric.rate_times, bool(rhos)
        ),
        jit_compile=compiles and metric.compilable,
    )
    return trainer


def _meta(run: RunFlags, domains: int, rhos: Sequence[tf.Variable]) -> MetaStep | None:
    if not run.training.meta:
        return None
    if not rhos:
        raise InputError(
            "--meta needs mixtures that train. Received: a network whose layers are "
            f"all frozen, --freeze_until={run.model.freeze_until}. Freeze fewer."
        )
    rate = optimizers.rho_rate(run.training)
    return MetaStep(run.training, run.loss, domains, rhos, mixing, rate)


def _seen(
    network: tf.keras.Model, loss: LossConfig
) -> tuple[tf.keras.Model, tuple[tf.Variable, ...]]:
    """What the losses see, and the matrices that they look at."""
    seen = ensemble.before_lengths(network, loss.embedding_norm == "unit")
    if not loss.adversarial_weight:
        return seen, ()
    features, kernels = ensemble.linear_layers(network)
    return tf.keras.Model(seen.input, [seen.output, features]), kernels
