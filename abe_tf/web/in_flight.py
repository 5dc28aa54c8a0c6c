"""A bound on the bytes of all requests that are being read and answered."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

_MB = 2**20


class FullError(Exception):
    """There are too many; the text says so."""


class InFlight:
    """Counts bytes; for one event loop.

    Args:
      most_mb: Megabytes that there may be.
    """

    def __init__(self, most_mb: int) -> None:
        self._most_mb, self._bytes = most_mb, 0

    @contextlib.contextmanager
    def counting(self) -> Iterator[Callable[[int], None]]:
        """Yields what counts a request's bytes as they come; forgets them at the end.

        What it yields raises FullError where there are too many.
        """
        ours = 0

        def count(more: int) -> None:
            nonlocal ours
            ours += more
            self._bytes += more
            if self._bytes > self._most_mb * _MB:
                raise FullError(f"There are {self._most_mb} MB of requests already")

        try:
            yield count
        finally:
            self._bytes -= ours
