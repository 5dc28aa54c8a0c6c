"""Flags that say how a run is optimised, and how often it reports."""

from __future__ import annotations

import dataclasses

from abe_tf.config.groups import Group, option

OPTIMIZERS = ("adam", "sgd")
SCHEDULES = ("constant", "cosine", "step")
STRATEGIES = ("auto", "default", "mirrored")


@dataclasses.dataclass(frozen=True)
class TrainingConfig(Group):
    """Optimizer, schedule, strategy, and what happens every so many steps."""

    steps: int = option(
        600,
        "optimizer steps in all; 0 stores the network as it starts",
        lower=0,
        upper=10**9,
    )
    seed: int = option(
        0, "of weights, batches and augmentation", lower=0, upper=2**31 - 1
    )
    init_from: str | None = option(
        None, "run folder whose network's weights training starts from"
    )
    optimizer: str = option("adam", "the optimizer", choices=OPTIMIZERS)
    momentum: float = option(0.9, "of sgd", lower=0, upper=1)
    learning_rate: float = option(1e-3, "at the start, of the encoder", lower=0)
    new_layer_multiplier: float = option(
        1.0,
        "times the learning rate: of the linear layers and the mask convolutions, "
        "which no pretrained weights exist for",
        lower=0,
    )
    schedule: str = option(
        "cosine",
        "learning rate over the run: constant, cosine (to 0 at the last step) or step "
        "(times --decay_factor every --decay_steps)",
        choices=SCHEDULES,
    )
    decay_steps: int | None = option(
        None, "for --schedule=step; a third of --steps where none is given", lower=1
    )
    decay_factor: float = option(0.1, "for --schedule=step", lower=0, upper=1)
    weight_decay: float = option(
        0.0,
        "decoupled weight decay, times the learning rate, of all weights but biases "
        "and batch normalisation",
        lower=0,
    )
    strategy: str = option(
        "auto",
        "tf.distribute: default (one device), mirrored (every GPU of this machine, or "
        "every logical CPU device where there is none) or auto (mirrored where there "
        "is more than one GPU)",
        choices=STRATEGIES,
    )
    deterministic: bool = option(
        False, "let TensorFlow use only operations that give the same bits each time"
    )
    log_every: int = option(10, "steps between two lines of progress", lower=1)
    eval_every: int = option(
        100, "steps between two evaluations on the validation classes", lower=1
    )
    checkpoint_every: int = option(200, "steps between two checkpoints", lower=1)
