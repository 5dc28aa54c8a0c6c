"""What long work says of itself on standard error."""

from __future__ import annotations

import datetime
import sys
import time

# Seconds between two lines, and between two states of a terminal's last line.
_EVERY, _EVERY_ON_TERMINAL = 10.0, 0.5


class Progress:
    """Photos a second and time left.

    Args:
      total: Photos that are to be read.
      quiet: Whether to say nothing.
    """

    def __init__(self, total: int, quiet: bool) -> None:
        self._total, self._quiet = total, quiet
        self._terminal = sys.stderr.isatty()
        self._start = self._said = time.monotonic()
        self._has_line = False
        self._done = 0

    def count(self, count: int) -> None:
        """Notes that so many more are done."""
        self._done += count

    def state(self) -> dict[str, float] | None:
        """What a page may show of it; `None` once all is done."""
        if self._done == self._total:
            return None
        return {
            "done": self._done,
            "total": self._total,
            "rate": self._rate(),
            "time": time.time(),
        }

    def tell(self, broken: int) -> None:
        """Says how far it is, now and then.

        Args:
          broken: Photos that could not be read.
        """
        now = time.monotonic()
        every = _EVERY_ON_TERMINAL if self._terminal else _EVERY
        if self._quiet or now - self._said < every:
            return
        self._said, rate = now, self._rate()
        left = (self._total - self._done) / rate if rate else 0
        text = (
            f"{self._done:,} of {self._total:,} photos, {rate:.1f} photos/s, "
            f"{datetime.timedelta(seconds=round(left))} left"
        )
        text += f", {broken:,} cannot be read" if broken else ""
        if self._terminal:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
            self._has_line = True
        else:
            print(text, file=sys.stderr, flush=True)

    def _rate(self) -> float:
        return self._done / max(time.monotonic() - self._start, 1e-3)

    def end(self) -> None:
        """Leaves the terminal's last line as it is."""
        if self._has_line:
            print(file=sys.stderr)
