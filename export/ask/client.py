"""A model behind TensorFlow Serving, asked about image files."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import errno
import itertools
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from abe_tf.config.data import MAX_PIXELS
from abe_tf.data.pixels.conversion import ConversionError, readable
from export.ask.errors import AGAIN, NEVER, ServerError

# Refusals for which no image is to blame.
_NOT_THE_IMAGES = (
    *("Serving signature name", "Unrecognized servable version label"),
    *("Malformed request", "does not have named input", "Missing named input"),
    *("JSON Parse error", "Serving signature key", "alias not found in signature"),
    "input size does not match signature",
)
# Seconds before a file that was refused alone is asked about again.
_PAUSES = (0.1, 0.4, 1.0)
# Seconds before a request is repeated: the first time, and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0

# An image's path and its answer, as JSON has it.
Answer = tuple[str, Any]


@dataclasses.dataclass(frozen=True)
class Refused:
    """An image that the server cannot read, and why."""

    path: str
    reason: str


class _Ending:
    """Lets go of what is under way, without waiting for it."""

    def __init__(
        self, pool: concurrent.futures.ThreadPoolExecutor, ended: threading.Event
    ) -> None:
        self._pool, self._ended = pool, ended
        ended.clear()

    def close(self) -> None:
        """Has what waits to ask again ask no more."""
        self._ended.set()
        self._pool.shutdown(wait=False, cancel_futures=True)


class Client:
    """Asks about many images: in batches, several at once, and again where it helps.

    Args:
      call: Asks about the bytes of image files in one request; raises ServerError.
      batch_size: Images of one request.
      concurrency: Requests at once.
      retries: Tries after 429, 502, 503, 504 or a lost connection, each waiting longer,
        or as long as the server asks.
      wait_seconds: How long a request is waited for in all; a server that asks for more
        is not waited for.
      max_pixels: Larger images that must be converted are refused.
    """

    def __init__(
        self,
        call: Callable[[Sequence[bytes]], list[Any]],
        batch_size: int = 16,
        concurrency: int = 4,
        retries: int = 7,
        wait_seconds: float = 120.0,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._call, self._batch_size = call, batch_size
        self._concurrency, self._retries = concurrency, retries
        self._wait_seconds, self._max_pixels = wait_seconds, max_pixels
        self._ended = threading.Event()

    def ask(self, paths: Sequence[str]) -> Iterator[Answer | Refused]:
        """Asks about image files.

        A file that the server refuses costs only itself: its batch is halved until it
        is alone, and then asked about several times, since a server that batches
        across clients refuses it for another's.

        Args:
          paths: Image files.

        Yields:
          In the order of the paths: the path and its answer as JSON has it, or that it
          was refused.

        Raises:
          ServerError: The server refuses for another reason, or is not there. What it
            had answered by then, also about later paths, has been yielded.
        """
        size = self._batch_size
        batches = (list(paths[i : i + size]) for i in range(0, len(paths), size))
        failed = None
        pool = concurrent.futures.ThreadPoolExecutor(self._concurrency)
        with contextlib.closing(_Ending(pool, self._ended)):
            # Not all at once: their answers would be held until it is their turn.
            due = collections.deque(
                pool.submit(self._ask_about, batch)
                for batch in itertools.islice(batches, 2 * self._concurrency)
            )
            while due:
                try:
                    yield from due.popleft().result()
                except ServerError as error:
                    failed = failed or error
                    for one in due:
                        one.cancel()
                except concurrent.futures.CancelledError:
                    continue
                more = itertools.islice(batches, 0 if failed else 1)
                due.extend(pool.submit(self._ask_about, batch) for batch in more)
        if failed is not None:
            raise failed

    def _ask_about(self, paths: list[str]) -> list[Answer | Refused]:
        encoded, unread = [], {}
        for path in paths:
            try:
                # A pipe would wait for ever.
                if os.path.exists(path) and not os.path.isfile(path):
                    raise OSError(errno.EINVAL, "no regular file")
                with open(path, "rb") as file:
                    encoded.append(readable(file.read(), self._max_pixels))
            except OSError as error:
                unread[path] = Refused(path, str(error.strerror))
            except ConversionError as error:
                unread[path] = Refused(path, str(error))
        read = [path for path in paths if path not in unread]
        answers = dict(zip(read, self._bisected(read, encoded), strict=True))
        return [unread.get(path) or answers[path] for path in paths]

    def _bisected(
        self, paths: list[str], encoded: list[bytes]
    ) -> list[Answer | Refused]:
        if not paths:
            return []
        try:
            return list(zip(paths, self.predict(encoded), strict=True))
        except ServerError as error:
            # 413: all of them together are too large.
            if error.status not in (400, 413):
                raise
            if any(text in str(error) for text in _NOT_THE_IMAGES):
                raise
            if len(paths) == 1:
                return [self._once_more(paths[0], encoded[0], error)]
        half = len(paths) // 2
        first = self._bisected(paths[:half], encoded[:half])
        return first + self._bisected(paths[half:], encoded[half:])

    def _once_more(
        self, path: str, encoded: bytes, refusal: ServerError
    ) -> Answer | Refused:
        """Asks about a file that was refused alone; one answer clears it."""
        for pause in _PAUSES if refusal.status == 400 else ():
            time.sleep(pause)
            try:
                return path, self.predict([encoded])[0]
            except ServerError as error:
                if error.status != 400:
                    raise
                refusal = error
        return Refused(path, _in_short(str(refusal)))

    def predict(self, encoded: Sequence[bytes]) -> list[Any]:
        """Asks about the bytes of image files in one request, again where it helps.

        Returns:
          An answer an image, as JSON has it.

        Raises:
          ServerError: The server refuses, or is not there.
        """
        end = time.monotonic() + self._wait_seconds
        for tried in itertools.count(1):
            try:
                return self._call(encoded)
            except ServerError as error:
                if error.status not in AGAIN or tried > self._retries:
                    raise
                longer = min(_FIRST_PAUSE * 2 ** (tried - 1), _LONGEST_PAUSE)
                # Not all that were refused at once come back at once.
                pause = error.pause or longer * random.uniform(0.5, 1)
                if time.monotonic() + pause > end:
                    text = (
                        f"{error} (waited for {self._wait_seconds:g} s at most, "
                        f"--wait_seconds; the next try would be in {pause:.3g} s)"
                    )
                    raise ServerError(error.status, text) from error
            if self._ended.wait(pause):
                raise ServerError(NEVER, "Nobody waits for the answer any more")
        raise AssertionError("unreachable")


def _in_short(message: str) -> str:
    """The cause, without TensorFlow's trail of nodes around it."""
    return re.sub(r"\{\{.*?\}\}\s*", "", message.partition("\n")[0])
