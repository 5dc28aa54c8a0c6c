"""Flags that say how a run is optimised, and how often it reports."""

from __future__ import annotations

import dataclasses

from abe_tf.config.groups import Group, option
from abe_tf.config.loss import NOT_COMPILED
from abe_tf.config.meta import MetaConfig
from abe_tf.errors import InputError

OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd", "lamb")
SCHEDULES = ("constant", "cosine", "step")
STRATEGIES = ("auto", "default", "mirrored", "multi_worker", "tpu")
JIT = ("auto", "on", "off")


@dataclasses.dataclass(frozen=True)
class DistributionConfig(Group):
    """Which devices work together."""

    strategy: str = option(
        "auto",
        "tf.distribute: default (one device), mirrored (every GPU of this machine, or "
        "every logical CPU device where there is none), multi_worker (the machines "
        "that TF_CONFIG names), tpu (not run here; not with what --jit=on does not go "
        "with) or auto (multi_worker where "
        "TF_CONFIG names several workers, else mirrored where there is more than one "
        "GPU)",
        choices=STRATEGIES,
    )


@dataclasses.dataclass(frozen=True)
class SessionConfig(Group):
    """What is wanted of this call alone, and is no part of the run."""

    dry_run: bool = option(
        False,
        "build everything, run one step and one evaluation batch, print shapes, "
        "parameters and peak memory, and write nothing",
    )
    profile_steps: str | None = option(
        None, "FIRST:END: steps that TensorFlow's profiler records for TensorBoard"
    )

    def check_together(self) -> None:
        """Refuses what is no range of steps."""
        if self.profile_steps is not None and self.profiled() is None:
            raise InputError(
                "--profile_steps must be FIRST:END with 0 <= FIRST < END. "
                f"Received: {self.profile_steps!r}. Use for example 10:20."
            )

    def profiled(self) -> tuple[int, int] | None:
        """First step, counted from 0, and end of what is profiled."""
        first, colon, end = (self.profile_steps or "").partition(":")
        if not (colon and first.isdecimal() and end.isdecimal()):
            return None
        bounds = int(first), int(end)
        return bounds if bounds[0] < bounds[1] else None


@dataclasses.dataclass(frozen=True)
class TrainingConfig(DistributionConfig, MetaConfig):
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
    optimizer: str = option(
        "adam",
        "the optimizer; adamw is adam with --weight_decay, lamb TensorFlow Addons' or "
        "its equal",
        choices=OPTIMIZERS,
    )
    momentum: float = option(0.9, "of sgd", lower=0, upper=1)
    optimizer_epsilon: float = option(
        1e-7,
        "what adam, adamw and rmsprop add to the root that they divide by; those of "
        "the loss' own variables too",
        lower=1e-12,
    )
    learning_rate: float = option(1e-3, "at the start, of the encoder", lower=0)
    new_layer_multiplier: float = option(
        1.0,
        "times the learning rate: of the linear layers and the mask convolutions, "
        "which no pretrained weights exist for",
        lower=0,
    )
    loss_optimizer: str = option(
        "adam",
        "of the loss' own variables: proxies, the borders of margin, the regressors of "
        "--adversarial_weight, the classifier",
        choices=("adam", "rmsprop", "sgd"),
    )
    loss_learning_rate: float | None = option(
        None,
        "of the loss' own variables, at the start; where none is given 50 x "
        "--learning_rate, or that itself with --adversarial_weight. They do not decay",
        lower=0,
    )
    rho_learning_rate: float | None = option(
        None,
        "of the mixtures of --normalization=batch_instance, which plain gradient "
        "descent trains at a rate that stays; 10 x --learning_rate where none is given",
        lower=0,
    )
    schedule: str = option(
        "cosine",
        "learning rate over the run: constant, cosine (to 0 at the last step) or step "
        "(times --decay_factor every --decay_steps)",
        choices=SCHEDULES,
    )
    warmup_steps: int = option(
        0,
        "steps over which the learning rate rises to the schedule's",
        lower=0,
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
    clip_norm: float = option(
        0.0,
        "scale the gradients of all weights together down to this norm; 0 does not",
        lower=0,
    )
    ema_momentum: float = option(
        0.0,
        "evaluate and export an exponential moving average of the weights with this "
        "momentum, such as 0.999, and train on without it; 0 does not average",
        lower=0,
        upper=0.999999,
    )
    jit: str = option(
        "auto",
        "compile the step with XLA: on, off or auto (on one GPU; never on a CPU, where "
        "it is several times slower); on does not go with "
        f"--metric_loss={'|'.join(NOT_COMPILED)} and --ensemble=hdc",
        choices=JIT,
    )
    deterministic: bool = option(
        False, "let TensorFlow use only operations that give the same bits each time"
    )
    log_every: int = option(10, "steps between two lines of progress", lower=1)
    eval_every: int = option(
        100, "steps between two evaluations on the validation classes", lower=1
    )
    pictures: bool = option(
        True,
        "draw masks and nearest images at each evaluation, and write the projector's "
        "files at the end, for TensorBoard",
    )
    checkpoint_every: int = option(200, "steps between two checkpoints", lower=1)
    keep: int = option(2, "checkpoints that are kept, beside the best one", lower=1)

    def check_together(self) -> None:
        """Refuses what does not go together."""
        self.check_meta()
        if self.optimizer == "lamb" and self.ema_momentum:
            raise InputError(
                "--ema_momentum goes with Keras' optimizers. "
                "Received: --optimizer=lamb. Use adam, adamw, rmsprop or sgd."
            )
        if self.jit == "on" and self.deterministic:
            raise InputError(
                "--jit=on does not go with --deterministic: XLA has no deterministic "
                "gradient of max pooling. Received: both. Leave one out."
            )
        if self.optimizer == "adamw" and not self.weight_decay:
            raise InputError(
                "--optimizer=adamw needs --weight_decay. Received: 0. Give one, such "
                "as 0.004, or use --optimizer=adam."
            )
