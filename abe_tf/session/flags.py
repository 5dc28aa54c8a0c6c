"""The flags of a training, together."""

from __future__ import annotations

import dataclasses

from abe_tf.config.evaluation import EvaluationConfig
from abe_tf.config.training import SessionConfig
from abe_tf.runs.flags import RunFlags


@dataclasses.dataclass(frozen=True)
class SessionFlags:
    """Everything that a user says of a training.

    Attributes:
      run: What makes the run.
      evaluation: May differ from session to session, as `session` may.
      session: Flags of this session alone.
    """

    run: RunFlags
    evaluation: EvaluationConfig
    session: SessionConfig

    def hyperparameters(self) -> dict[str, bool | int | float | str]:
        """What TensorBoard lists of the run, by the flags' names."""
        return {
            name: value if isinstance(value, (bool, int, float, str)) else str(value)
            for name, value in self.run.values().items()
        }
