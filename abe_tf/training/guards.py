"""What stops a run that has gone wrong, and what warns of one that is about to."""

from __future__ import annotations

from collections.abc import Callable

from abe_tf.errors import DivergedError
from abe_tf.training.trainer import EnsembleTrainer

# Reports in a row. A network that starts from random weights looks collapsed at first.
_PATIENCE = 10
# Of the distance between images of two classes: how much less one class's must be.
_TELLING = 0.02


class FiniteGuard:
    """Stops a run at the first loss or gradient that is not finite.

    Args:
      trainer: Remembers it.
      batch_names: Gives the names of the images of a batch, counted from 0.
    """

    def __init__(
        self, trainer: EnsembleTrainer, batch_names: Callable[[int], list[str]]
    ) -> None:
        self._trainer, self._batch_names = trainer, batch_names

    def check(self) -> None:
        """Looks whether there was one; nothing may be saved before.

        Raises:
          DivergedError: There was: step, term and images are named.
        """
        failure = self._trainer.failure()
        if failure is None:
            return
        steps_before, terms = failure
        named = ", ".join(f"{term} was {value}" for term, value in terms.items())
        images = ", ".join(self._batch_names(steps_before))
        raise DivergedError(
            "Loss and gradient must stay finite; the checkpoints from before stay. "
            f"Received: {named} at step {steps_before + 1}. Lower --learning_rate, "
            f"or set --clip_norm or --warmup_steps. The batch: {images}"
        )


class CollapseWatch:
    """Warns, once, when embeddings no longer tell classes apart.

    Args:
      say: Where to.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._in_a_row, self._said = 0, False

    def look(self, step: int, positive: float, negative: float) -> None:
        """Looks at mean distances of the learners.

        Args:
          step: Steps done.
          positive: Between images of one class.
          negative: Between images of two.
        """
        collapsed = positive >= (1 - _TELLING) * negative
        self._in_a_row = self._in_a_row + 1 if collapsed else 0
        if self._in_a_row < _PATIENCE or self._said:
            return
        self._said = True
        self._say(
            f"step {step}: COLLAPSE: images of one class are as far apart "
            f"({positive:.4f}) as of two ({negative:.4f}). The usual remedies: a lower "
            "--learning_rate, --warmup_steps, --optimizer=adam, --encoder_weights, "
            "more --images_per_class."
        )
