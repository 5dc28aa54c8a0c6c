"""Numbers of a run: for TensorBoard, and as lines of JSON."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Iterator

import numpy as np
import tensorflow as tf


class MetricsWriter:
    """Writes to event files and to metrics.jsonl.

    Where a disk takes nothing more that is said once, and the training goes on.

    Args:
      tensorboard: Folder of event files; `None` writes nothing anywhere.
      metrics: The file of JSON lines: `{"step": 10, "loss/total": 3.2, ...}`, a number
        that is not finite as null.
    """

    def __init__(self, tensorboard: str | None, metrics: str) -> None:
        self._metrics = metrics if tensorboard is not None else None
        self._said = False
        self.events = tf.summary.create_noop_writer()
        if tensorboard is not None:
            self.events = tf.summary.create_file_writer(tensorboard)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Writes numbers by tag."""
        with self._disk_errors_said(), self.events.as_default():
            for tag, value in values.items():
                tf.summary.scalar(tag, value, step=step)
        if self._metrics is None:
            return
        finite = {
            tag: value if math.isfinite(value) else None
            for tag, value in values.items()
        }
        with self._disk_errors_said():
            _append(self._metrics, json.dumps({"step": step, **finite}) + "\n")

    def histograms(self, step: int, values: dict[str, np.ndarray]) -> None:
        """Writes distributions by tag."""
        with self._disk_errors_said():
            with self.events.as_default():
                for tag, value in values.items():
                    tf.summary.histogram(tag, value, step=step)
            self.events.flush()

    def images(self, step: int, values: dict[str, bytes]) -> None:
        """Writes PNG files by tag."""
        decoded = {
            tag: tf.io.decode_png(png, channels=3)[tf.newaxis]
            for tag, png in values.items()
        }
        with self._disk_errors_said():
            with self.events.as_default():
                for tag, pixels in decoded.items():
                    tf.summary.image(tag, pixels, step=step)
            self.events.flush()

    @contextlib.contextmanager
    def _disk_errors_said(self) -> Iterator[None]:
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            if not self._said:
                reason = " ".join(str(error).split())[:200]
                print(f"METRICS ARE LOST from here on: {reason}", file=sys.stderr)
            self._said = True


def _append(path: str, line: str) -> None:
    """Adds a line, or nothing of it.

    Raises:
      OSError: The disk does not take it.
    """
    size = os.path.getsize(path) if os.path.exists(path) else 0
    try:
        # One write a line: a process that is killed leaves whole ones, but for the
        # last at most.
        with open(path, "a", encoding="utf-8") as file:
            file.write(line)
    except OSError:
        with contextlib.suppress(OSError):
            os.truncate(path, size)
        raise
