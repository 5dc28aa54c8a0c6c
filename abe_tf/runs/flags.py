"""The flags of a run: which there are, which may change, which runs are repetitions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from abe_tf.config.data import DataConfig
from abe_tf.config.groups import Group, read_flagfile, write_flagfile
from abe_tf.config.loss import (
    NOT_COMPILED,
    OF_NEIGHBOURS,
    WITH_VARIABLES,
    LossConfig,
    loss_of,
)
from abe_tf.config.model import ModelConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.errors import InputError

# May change between the sessions of one run: where things lie, what becomes of photos
# that cannot be read, how often it reports.
_MAY_CHANGE = {
    *("data_dir", "manual_dir", "download", "image_list", "cache"),
    *("on_bad_image", "check", "cache_dir", "cache_gb", "max_pixels"),
    *("encoder_weights", "init_from", "strategy"),
    *("log_every", "eval_every", "checkpoint_every", "keep", "jit"),
}
# A run may go further than it was meant to.
_MAY_GROW = "steps"
# Where nothing is stated, those of the run's first session hold.
FOLLOW_DATA = ("domains_per_batch", "classes_per_batch", "images_per_class")


@dataclasses.dataclass(frozen=True)
class RunFlags:
    """The flags that make a run.

    Its flagfile holds them in this order.

        >>> flags = RunFlags(data=DataConfig(image_size=160))
        >>> flags.changed({"image_size": 128}).data.image_size
        128
        >>> RunFlags.parse(flags.text()) == flags
        True
    """

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    loss: LossConfig = LossConfig()
    training: TrainingConfig = TrainingConfig()

    def __post_init__(self) -> None:
        # What is written down is what it is.
        loss = self.loss.of_ensemble(self.model.ensemble)
        object.__setattr__(self, "loss", loss)
        self._check_lines()
        if self.training.jit == "on":
            self._check_compiles("--jit=on")
        self._check_loss()
        self._check_meta()

    def _check_lines(self) -> None:
        """Refuses what flags.cfg, a flag a line, cannot hold."""
        for group in self._groups():
            for name, value in vars(group).items():
                if isinstance(value, str) and "\n" in value:
                    raise InputError(
                        f"--{name} must be one line. Received: {value!r}. Rename what "
                        "it names."
                    )

    def _check_meta(self) -> None:
        training, data = self.training, self.data
        mixed = self.model.normalization == "batch_instance"
        if training.rho_learning_rate is not None and not mixed:
            raise InputError(
                "--rho_learning_rate goes with --normalization=batch_instance. "
                f"Received: {training.rho_learning_rate} with "
                f"{self.model.normalization}. Leave it out."
            )
        if data.domains_per_batch and not (training.meta or data.batches == "domains"):
            raise InputError(
                "--domains_per_batch goes with --batches=domains or --meta. Received: "
                f"{data.domains_per_batch} without. Leave it out."
            )
        margin, default = self.loss.margin_hard, LossConfig().margin_hard
        triplets = self.loss.metric_loss == "triplet_hard" or training.meta
        if margin != default and not triplets:
            raise InputError(
                "--margin_hard goes with --metric_loss=triplet_hard or --meta. "
                f"Received: {margin} with {self.loss.metric_loss}. Leave it out."
            )
        if not training.meta:
            return
        if self.model.normalization != "batch_instance":
            raise InputError(
                "--meta trains the mixtures of --normalization=batch_instance. "
                f"Received: {self.model.normalization}. Give it, or leave --meta out."
            )
        if self.model.precision == "float16":
            raise InputError(
                "--meta does not scale its losses, which float16 needs. Received: "
                "--precision=float16. Use bfloat16 or float32."
            )

    def check_devices(self) -> None:
        """Refuses to train where it cannot; a folder that trained there can be read.

        Raises:
          InputError: The programs of a TPU, which are compiled always, would not do.
        """
        if self.training.strategy == "tpu":
            self._check_compiles("--strategy=tpu")

    def _check_compiles(self, asked: str) -> None:
        reasons = {f"metric_loss={loss}": why for loss, why in NOT_COMPILED.items()}
        reasons["ensemble=hdc"] = "XLA would draw another dropout"
        named = (
            f"metric_loss={self.loss.metric_loss}",
            f"ensemble={self.model.ensemble}",
        )
        for flag in named:
            if flag in reasons:
                raise InputError(
                    f"--{flag} does not go with {asked}: {reasons[flag]}. Received: "
                    f"both. Leave {asked} out."
                )

    def _check_loss(self) -> None:
        loss, name = self.loss, self.loss.metric_loss
        if loss.adversarial_weight and self.model.ensemble != "bier":
            raise InputError(
                "--adversarial_weight goes with --ensemble=bier, whose learners see "
                f"the same features. Received: {loss.adversarial_weight} with "
                f"--ensemble={self.model.ensemble}. Leave it out."
            )
        if name in OF_NEIGHBOURS and self.data.batches == "uniform":
            raise InputError(
                f"--metric_loss={name} takes neighbours in the batch as pairs, which "
                "uniform batches seldom have. Received: --batches=uniform. Use "
                "--batches=classes --images_per_class=2."
            )
        self._check_loss_optimizer()

    def _check_loss_optimizer(self) -> None:
        """Refuses settings of optimizers that there are not."""
        training, own = self.training, self.loss.has_variables
        rate = training.loss_learning_rate
        if rate is not None and not own:
            raise InputError(
                f"--loss_learning_rate goes with --metric_loss="
                f"{'|'.join(WITH_VARIABLES)}, --classifier_weight or "
                "--adversarial_form=adversarial with a weight. Received: "
                f"{rate} with --metric_loss={self.loss.metric_loss}. Leave it out."
            )
        epsilon = training.optimizer_epsilon
        kinds = {training.optimizer, training.loss_optimizer if own else ""}
        if epsilon != TrainingConfig.optimizer_epsilon and kinds <= {"sgd", "lamb", ""}:
            raise InputError(
                "--optimizer_epsilon goes with --optimizer=adam|adamw|rmsprop, or with "
                "--loss_optimizer=adam|rmsprop of a loss with variables. "
                f"Received: {epsilon} with {training.optimizer}. Leave it out."
            )

    @classmethod
    def parse(cls, text: str) -> RunFlags:
        """Reads what `text` gave, of this or of an older version.

        Raises:
          InputError: A line is no flag of a run, or breaks a rule.
        """
        return cls(*read_flagfile(text, [type(group) for group in cls()._groups()]))

    def text(self) -> str:
        """The text of a flagfile that gives the same flags again."""
        return write_flagfile(self._groups())

    def changed(self, changes: Mapping[str, Any]) -> RunFlags:
        """The same flags with some set otherwise.

        Args:
          changes: New values by the flag's name, as they would be typed.

        Raises:
          InputError: There is no such flag, or a value breaks a rule.
        """
        lines = [f"--{name}={value}\n" for name, value in changes.items()]
        loss = self.loss
        if "ensemble" in changes and loss.metric_loss == loss_of(self.model.ensemble):
            # The loss follows the ensemble, where nobody has named another.
            loss = dataclasses.replace(loss, metric_loss=None)
        text = write_flagfile([self.model, self.data, loss, self.training])
        return self.parse(text + "".join(lines))

    def values(self) -> dict[str, Any]:
        """Every flag's value by its name."""
        by_name: dict[str, Any] = {}
        for group in self._groups():
            by_name |= dataclasses.asdict(group)  # type: ignore[call-overload]
        return by_name

    def differing(self, started_with: RunFlags) -> list[str]:
        """Flags with which a run cannot go on, as text.

        Args:
          started_with: The flags of the run's first session.
        """
        now, before = self.values(), started_with.values()
        return [
            f"--{name}={now[name]} (was {before[name]})"
            for name in now
            if name not in _MAY_CHANGE
            and now[name] != before[name]
            and not (name in FOLLOW_DATA and now[name] is None)
            and not (name == _MAY_GROW and now[name] > before[name])
        ]

    def settings(self) -> dict[str, Any]:
        """Values without seed and what may change: equal for repetitions of a run."""
        passed_over = {*_MAY_CHANGE, "seed"}
        return {n: value for n, value in self.values().items() if n not in passed_over}

    def _groups(self) -> list[Group]:
        return [self.model, self.data, self.loss, self.training]


def names() -> set[str]:
    """Names of all flags that make a run."""
    return set(RunFlags().values())
