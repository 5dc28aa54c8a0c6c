"""Numbers of a run: for TensorBoard, and as lines of JSON."""

from __future__ import annotations

import json
import math

import numpy as np
import tensorflow as tf


class MetricsWriter:
    """Writes to event files and to metrics.jsonl.

    Args:
      tensorboard: Folder of event files; `None` writes nothing anywhere.
      metrics: The file of JSON lines: `{"step": 10, "loss/total": 3.2, ...}`, a number
        that is not finite as null.
    """

    def __init__(self, tensorboard: str | None, metrics: str) -> None:
        self._metrics = metrics if tensorboard is not None else None
        self.events = tf.summary.create_noop_writer()
        if tensorboard is not None:
            self.events = tf.summary.create_file_writer(tensorboard)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Writes numbers by tag."""
        with self.events.as_default():
            for tag, value in values.items():
                tf.summary.scalar(tag, value, step=step)
        if self._metrics is None:
            return
        finite = {
            tag: value if math.isfinite(value) else None
            for tag, value in values.items()
        }
        with open(self._metrics, "a", encoding="utf-8") as file:
            # One write a line: a process that is killed leaves whole ones, but for the
            # last at most.
            file.write(json.dumps({"step": step, **finite}) + "\n")

    def histograms(self, step: int, values: dict[str, np.ndarray]) -> None:
        """Writes distributions by tag."""
        with self.events.as_default():
            for tag, value in values.items():
                tf.summary.histogram(tag, value, step=step)
        self.events.flush()

    def images(self, step: int, values: dict[str, bytes]) -> None:
        """Writes PNG files by tag."""
        with self.events.as_default():
            for tag, png in values.items():
                pixels = tf.io.decode_png(png, channels=3)
                tf.summary.image(tag, pixels[tf.newaxis], step=step)
        self.events.flush()
