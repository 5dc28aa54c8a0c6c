"""Ctrl-C and SIGTERM, noted and not obeyed at once."""

from __future__ import annotations

import signal
import types
from collections.abc import Callable
from typing import Any


class StopSignals:
    """Inside, the first signal is noted, and the second one ends the process.

    Args:
      say: Tells that one has come.

    Attributes:
      received: The signal, or `None`.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._previous: dict[int, Any] = {}
        self.received: signal.Signals | None = None

    def __enter__(self) -> StopSignals:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())

    def _note(self, number: int, _: types.FrameType | None) -> None:
        self.received = signal.Signals(number)
        self.__exit__()
        self._say(
            f"{self.received.name}: stopping after this step; once more stops at once"
        )
