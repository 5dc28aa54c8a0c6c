"""How fast a run is, and what it says of itself."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime
import sys
import time
from collections.abc import Iterator

# By so many the time left is told.
_REPORTS = 10


class Clock:
    """Seconds a step, without compilation and without pauses.

    The first step of a call of `fit` compiles the graph; it is left out.
    """

    def __init__(self) -> None:
        # Steps and seconds: since the last report, and of the last reports.
        self._steps, self._seconds = 0, 0.0
        self._reports: collections.deque[tuple[int, float]] = collections.deque(
            maxlen=_REPORTS
        )
        self._mark: float | None = None

    def step_done(self) -> None:
        """Notes that a step is done."""
        now = time.perf_counter()
        if self._mark is not None:
            self._steps += 1
            self._seconds += now - self._mark
        self._mark = now

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leaves what happens inside out of the count."""
        begin = time.perf_counter()
        yield
        if self._mark is not None:
            self._mark += time.perf_counter() - begin

    def report(self) -> Pace | None:
        """The pace since the last report; `None` before the second step."""
        if not self._steps:
            return None
        now = self._seconds / self._steps
        self._reports.append((self._steps, self._seconds))
        self._steps, self._seconds = 0, 0.0
        steps, seconds = (sum(values) for values in zip(*self._reports, strict=True))
        return Pace(now, seconds / steps)


@dataclasses.dataclass(frozen=True)
class Pace:
    """Seconds a step.

    Attributes:
      now: Since the last report.
      lately: Over the last reports, by which the time left is told.
    """

    now: float
    lately: float


class Console:
    """Progress on standard output: one line rewritten on a terminal, lines in a log.

    Args:
      silent: Whether to say nothing, as all workers but one do.
    """

    def __init__(self, silent: bool = False) -> None:
        self._silent = silent
        self._terminal = sys.stdout.isatty()
        self._open_line = False

    def progress(
        self,
        step: int,
        steps: int,
        scalars: dict[str, float],
        pace: Pace | None,
    ) -> None:
        """Says where the run is.

        Args:
          step: Steps done.
          steps: Number of steps of the whole run.
          scalars: Scalars of the step, by TensorBoard tag.
          pace: `None` before it is known.
        """
        if self._silent:
            return
        parts = [f"step {step}/{steps}"]
        for name in ("total", "metric", "divergence"):
            parts.append(f"{name} {scalars[f'loss/{name}']:.4f}")
        if pace:
            left = datetime.timedelta(seconds=round((steps - step) * pace.lately))
            parts.append(f"{scalars['images_per_second']:.1f} images/s")
            parts.append(f"{left} left")
        text = "  ".join(parts)
        if self._terminal:
            filled = 20 * step // steps
            bar = "#" * filled + "-" * (20 - filled)
            print(f"\r\033[K[{bar}] {text}", end="", flush=True)
            self._open_line = True
        else:
            print(text, flush=True)

    def line(self, text: str) -> None:
        """Says something that stays."""
        if self._silent:
            return
        if self._open_line:
            print()
            self._open_line = False
        print(text, flush=True)
