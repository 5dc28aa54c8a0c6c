"""The flags of a training, together."""

from __future__ import annotations

import dataclasses

from abe_tf.config.data import DataConfig
from abe_tf.config.evaluation import EvaluationConfig
from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.training import SessionConfig, TrainingConfig


@dataclasses.dataclass(frozen=True)
class Flags:
    """Everything that a user says of a training.

    The first four make the run; the others may differ from session to session.
    """

    model: ModelConfig
    data: DataConfig
    loss: LossConfig
    training: TrainingConfig
    evaluation: EvaluationConfig
    session: SessionConfig

    def of_run(self) -> list:
        """What is recorded with the run."""
        return [self.model, self.data, self.loss, self.training]

    def hyperparameters(self) -> dict[str, bool | int | float | str]:
        """What TensorBoard lists of the run, by the flags' names."""
        values = {}
        for group in self.of_run():
            for name, value in dataclasses.asdict(group).items():
                plain = isinstance(value, (bool, int, float, str))
                values[name] = value if plain else str(value)
        return values
