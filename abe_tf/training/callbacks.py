"""What happens between steps: progress, TensorBoard, evaluation, checkpoints.

Keras counts the batches of one call of `fit`; a run counts steps over all of them, so
each callback is told at which step this call starts.
"""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from abe_tf.training.checkpoints import Checkpoints
from abe_tf.training.guards import CollapseWatch, FiniteGuard
from abe_tf.training.metrics_writer import MetricsWriter
from abe_tf.training.progress import Clock, Console
from abe_tf.training.signals import StopSignals


@dataclasses.dataclass(frozen=True)
class Context:
    """What every callback of a run has in common.

    Attributes:
      start: Steps done before this call of `fit`.
      steps: Number of steps of the whole run.
      clock: Measures the steps, without what pauses it.
      console: Where lines go.
      writer: Where numbers go.
      guard: Guard that is asked before anything is reported or saved.
      signals: Tells when to stop.
    """

    start: int
    steps: int
    clock: Clock
    console: Console
    writer: MetricsWriter
    guard: FiniteGuard
    signals: StopSignals


class StepCallback(tf.keras.callbacks.Callback):
    """Base: calls `after_step` with the number of steps that are done, from 1.

    Args:
      context: What all have in common.
      every: Steps between two times that are due; the last step is due too.
    """

    # Keras would otherwise copy every scalar to the host after each step.
    _supports_tf_logs = True

    def __init__(self, context: Context, every: int) -> None:
        super().__init__()
        self._context, self._every = context, every

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Keras' hook."""
        self.after_step(self._context.start + batch + 1, logs or {})

    def after_step(self, step: int, logs: dict[str, Any]) -> None:
        """Called after each step."""
        if step % self._every == 0 or step == self._context.steps:
            self._context.guard.check()
            self.when_due(step, logs)

    def when_due(self, step: int, logs: dict[str, Any]) -> None:
        """Called every so many steps, as long as all is finite."""


class Telemetry(StepCallback):
    """A line of progress, and scalars.

    Args:
      context: What all have in common.
      every: Steps between two reports.
      batch_size: Images in a global batch.
    """

    def __init__(self, context: Context, every: int, batch_size: int) -> None:
        super().__init__(context, every)
        self._batch_size = batch_size
        self._collapse = CollapseWatch(context.console.line)

    def after_step(self, step: int, logs: dict[str, Any]) -> None:
        self._context.clock.step_done()
        super().after_step(step, logs)

    def when_due(self, step: int, logs: dict[str, Any]) -> None:
        scalars = {tag: float(value) for tag, value in logs.items() if tag != "stop"}
        for name, rate in self.model.learning_rates().items():
            scalars[f"learning_rate/{name}"] = rate
        pace = self._context.clock.report()
        if pace:
            scalars["images_per_second"] = self._batch_size / pace.now
        self._context.writer.scalars(step, scalars)
        self._context.console.progress(step, self._context.steps, scalars, pace)
        self._collapse.look(
            step, scalars["distance/positive"], scalars["distance/negative"]
        )


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a measurement of the network gives, by TensorBoard tag.

    Attributes:
      scalars: Numbers; recall in percent, missing without validation classes.
      histograms: Values of any number.
      images: PNG files.
      files: What belongs to the weights that were measured, as text by the name of a
        file that lies in their checkpoint.
    """

    scalars: dict[str, float]
    histograms: dict[str, np.ndarray]
    images: dict[str, bytes]
    files: dict[str, str] = dataclasses.field(default_factory=dict)


class Measurement(Protocol):
    """Measures the network as it is; what it looks at is the caller's business."""

    def __call__(self, interrupted: Callable[[], bool]) -> Measured | None:
        """Returns `None` where `interrupted` became true meanwhile."""

    def at_end(self) -> None:
        """Called once, after the measurement of the last step."""


class Evaluation(StepCallback):
    """Measures the network, with its averaged weights, and keeps the best checkpoint.

    Args:
      context: What all have in common.
      every: Steps between two measurements.
      measure: Measures.
      tag: The scalar that the best checkpoint is chosen by, if it is among them.
      checkpoints: Where it is kept.
      alone: Whether no other process takes part, which would wait for this one.
    """

    def __init__(
        self,
        context: Context,
        every: int,
        measure: Measurement,
        tag: str,
        checkpoints: Checkpoints,
        alone: bool,
    ) -> None:
        super().__init__(context, every)
        self._measure, self._tag, self._checkpoints = measure, tag, checkpoints
        self._alone = alone

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Makes up for an evaluation that a signal broke off."""
        start = self._context.start
        is_due = start % self._every == 0 or start == self._context.steps
        if start and is_due and self._checkpoints.evaluated_step < start:
            self.when_due(start, {})

    def when_due(self, step: int, logs: dict[str, Any]) -> None:
        """Evaluates."""
        with self._context.clock.paused():
            with self.model.averaged():
                measured = self._measure(self._interrupted)
                if measured is not None and step == self._context.steps:
                    self._measure.at_end()
            if measured is None:
                self._context.console.line(f"step {step}: evaluation broken off")
                return
            self._checkpoints.evaluated(measured.files)
            self._context.writer.histograms(step, measured.histograms)
            self._context.writer.images(step, measured.images)
            if measured.scalars:
                self._context.writer.scalars(step, measured.scalars)
            if self._tag in measured.scalars:
                self._keep_best(step, measured.scalars)

    def _interrupted(self) -> bool:
        return self._alone and self._context.signals.received is not None

    def _keep_best(self, step: int, scalars: dict[str, float]) -> None:
        best = self._checkpoints.save_if_best(scalars[self._tag])
        text = "  ".join(
            f"{tag} {value:.1f}"
            for tag, value in scalars.items()
            if tag.count("/") == 1 and "recall" in tag
        )
        self._context.console.line(
            f"step {step}: {text}{'  (best so far)' if best else ''}"
        )


class Saving(StepCallback):
    """Writes a checkpoint every so many steps, after the last, and when stopped.

    Args:
      context: What all have in common.
      every: Steps between two checkpoints.
      checkpoints: What writes them.
      stop_requested: Where several processes train together: tells the others, which
        all stop after the same step.
    """

    def __init__(
        self,
        context: Context,
        every: int,
        checkpoints: Checkpoints,
        stop_requested: tf.Variable | None = None,
    ) -> None:
        super().__init__(context, every)
        self._checkpoints, self._stop_requested = checkpoints, stop_requested
        self.stopped_by: signal.Signals | None = None
        self.failed = False

    def after_step(self, step: int, logs: dict[str, Any]) -> None:
        """Stops where it is asked to, unless all is done."""
        stop = self._asked(logs)
        if (
            stop is None
            or step == self._context.steps == self._checkpoints.evaluated_step
        ):
            super().after_step(step, logs)
            return
        self.stopped_by = stop
        self._context.guard.check()
        self.when_due(step, logs)
        self.model.stop_training = True

    def when_due(self, step: int, logs: dict[str, Any]) -> None:
        with self._context.clock.paused():
            path = self._checkpoints.save()
        self.failed = path is None
        if path is not None:
            self._context.console.line(f"step {step}: saved {path}")

    def _asked(self, logs: dict[str, Any]) -> signal.Signals | None:
        received = self._context.signals.received
        if self._stop_requested is None:
            return received
        if received is not None:
            self._stop_requested.assign(1)
        if int(logs["stop"]):
            return received or signal.SIGTERM
        return None


class Profile(StepCallback):
    """Records steps with TensorFlow's profiler.

    Args:
      context: What all have in common.
      first: The first of them, counted from 0.
      end: The step behind the last.
      folder: Folder of the event files.
    """

    def __init__(self, context: Context, first: int, end: int, folder: str) -> None:
        super().__init__(context, 1)
        self._first, self._end, self._folder = first, end, folder
        self._running = False

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Starts it."""
        step = self._context.start + batch
        if not self._running and self._first <= step < self._end:
            tf.profiler.experimental.start(self._folder)
            self._running = True

    def after_step(self, step: int, logs: dict[str, Any]) -> None:
        if step == self._end:
            self.on_train_end()

    def on_train_end(self, logs: dict | None = None) -> None:
        if self._running:
            tf.profiler.experimental.stop()
            self._running = False
            self._context.console.line(f"Profile of the steps in {self._folder}")
