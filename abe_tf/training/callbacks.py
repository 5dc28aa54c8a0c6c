"""What happens between steps: progress, TensorBoard, evaluation, checkpoints, signals.

Keras counts the batches of one call of `fit`; a run counts steps over all of them, so
each callback is told at which step this call starts.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from abe_tf.errors import InputError
from abe_tf.training.checkpoints import Checkpoints
from abe_tf.training.progress import Clock, Console


class StepCallback(tf.keras.callbacks.Callback):
    """Base: calls `after_step` with the number of steps that are done, from 1.

    Args:
      start: Steps done before this call of `fit`.
    """

    # Keras would otherwise copy every scalar to the host after each step.
    _supports_tf_logs = True

    def __init__(self, start: int) -> None:
        super().__init__()
        self._start = start

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Keras' hook."""
        self.after_step(self._start + batch + 1, logs or {})

    def after_step(self, step: int, logs: dict[str, Any]) -> None:
        """Called after each step."""


class Telemetry(StepCallback):
    """A line of progress and scalars for TensorBoard, every so many steps.

    Args:
      start: Steps done before this call of `fit`.
      steps: Of the whole run.
      every: Steps between two reports; the last step reports too.
      batch_size: Images in a global batch.
      writer: Of TensorBoard's event file.
      clock: Measures the steps, without what pauses it.
      console: Where the line goes.
    """

    def __init__(
        self,
        start: int,
        steps: int,
        every: int,
        batch_size: int,
        writer: tf.summary.SummaryWriter,
        clock: Clock,
        console: Console,
    ) -> None:
        super().__init__(start)
        self._steps, self._every, self._batch_size = steps, every, batch_size
        self._writer, self._clock, self._console = writer, clock, console

    def after_step(self, step: int, logs: dict[str, Any]) -> None:
        """Counts the step, and reports it where one is due."""
        self._clock.step_done()
        if step % self._every and step != self._steps:
            return
        scalars = {tag: float(value) for tag, value in logs.items()}
        for name, optimizer in (
            ("encoder", self.model.optimizer),
            ("new_layers", self.model.new_layer_optimizer),
        ):
            # Of several replicas' copies, a tensor is this one's.
            rate = tf.convert_to_tensor(optimizer.learning_rate)
            scalars[f"learning_rate/{name}"] = float(rate)
        seconds = self._clock.seconds_per_step()
        if seconds:
            scalars["images_per_second"] = self._batch_size / seconds
        with self._writer.as_default():
            for tag, value in scalars.items():
                tf.summary.scalar(tag, value, step=step)
        self._console.progress(step, self._steps, scalars, seconds)


class Evaluation(StepCallback):
    """Measures recall on held-out classes and keeps the best checkpoint.

    Args:
      start: Steps done before this call of `fit`.
      steps: Of the whole run; the last step is evaluated too.
      every: Steps between two evaluations.
      evaluate: Gives scalars by TensorBoard tag.
      tag: The one of them that the best checkpoint is chosen by.
      checkpoints: Where it is kept.
      writer: Of TensorBoard's event file.
      clock: Paused while it evaluates.
      console: Where the result goes.
    """

    def __init__(
        self,
        start: int,
        steps: int,
        every: int,
        evaluate: Callable[[], dict[str, float]],
        tag: str,
        checkpoints: Checkpoints,
        writer: tf.summary.SummaryWriter,
        clock: Clock,
        console: Console,
    ) -> None:
        super().__init__(start)
        self._steps, self._every, self._evaluate = steps, every, evaluate
        self._tag, self._checkpoints, self._writer = tag, checkpoints, writer
        self._clock, self._console = clock, console

    def after_step(self, step: int, logs: dict[str, Any]) -> None:
        """Evaluates where it is due."""
        if step % self._every and step != self._steps:
            return
        with self._clock.paused():
            scalars = self._evaluate()
            with self._writer.as_default():
                for tag, value in scalars.items():
                    tf.summary.scalar(tag, value, step=step)
            best = self._checkpoints.save_if_best(step, scalars[self._tag])
            text = "  ".join(f"{tag} {value:.1f}" for tag, value in scalars.items())
            self._console.line(
                f"step {step}: {text}{'  (best so far)' if best else ''}"
            )


class Saving(StepCallback):
    """Writes a checkpoint every so many steps, after the last, and when stopped.

    Ctrl-C and SIGTERM end the run after the step that is under way; a second signal
    ends it at once.

    Args:
      start: Steps done before this call of `fit`.
      steps: Of the whole run.
      every: Steps between two checkpoints.
      checkpoints: What writes them.
      clock: Paused while they are written.
      console: Where it is announced.

    Attributes:
      stopped_by: The signal that ended the run early, or `None`.
    """

    def __init__(
        self,
        start: int,
        steps: int,
        every: int,
        checkpoints: Checkpoints,
        clock: Clock,
        console: Console,
    ) -> None:
        super().__init__(start)
        self._steps, self._every, self._checkpoints = steps, every, checkpoints
        self._clock, self._console = clock, console
        self._previous: dict[int, Any] = {}
        self.stopped_by: signal.Signals | None = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Takes the signals over."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Gives the signals back."""
        self._restore_handlers()

    def after_step(self, step: int, logs: dict[str, Any]) -> None:
        """Saves where it is due.

        Raises:
          InputError: The loss is no number any more; the checkpoints from before stay.
        """
        stopping = self.stopped_by is not None
        if not (stopping or step % self._every == 0 or step == self._steps):
            return
        if step == self._steps:
            self.stopped_by = None  # nothing is left to go on with
        total = float(logs["loss/total"])
        if not math.isfinite(total):
            raise InputError(
                "The loss must stay finite, or no checkpoint is written. "
                f"Received: {total} at step {step}. Lower --learning_rate."
            )
        with self._clock.paused():
            path = self._checkpoints.save(step)
            self._console.line(f"step {step}: saved {path}")
        self.model.stop_training = stopping

    def _note(self, number: int, frame: Any) -> None:
        self.stopped_by = signal.Signals(number)
        self._console.line(
            f"{self.stopped_by.name}: stopping after this step; once more stops at once"
        )
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())
