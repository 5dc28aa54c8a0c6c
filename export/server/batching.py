"""Puts requests that wait together into one run of the model."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import queue
import threading
from collections.abc import Callable

import numpy as np

from export.runtime import c_api, c_library

Outputs = dict[str, np.ndarray]
Feeds = dict[str, c_api.Value]


@dataclasses.dataclass(frozen=True)
class _Waiting:
    """A request.

    Attributes:
      kind: What it has in common with those that it may run together with; `None`
        where it must run alone.
    """

    signature: str
    feeds: Feeds
    rows: int
    kind: tuple | None
    done: concurrent.futures.Future


class Batcher:
    """Runs a model for many callers: whatever waits when it is free runs together.

    No request waits for others to come. Where a batch fails, each of its requests runs
    alone, so that a broken image costs only itself. Nothing that a run raises ends the
    thread; should it end all the same, what waits and what comes is refused.

    Args:
      run: Runs a signature.
      most: Rows that run together at most; a larger request runs alone.
    """

    def __init__(self, run: Callable[[str, Feeds], Outputs], most: int) -> None:
        self._run, self._most = run, most
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        # What was taken from the queue and is not answered: a batch, and the one that
        # did not fit into it.
        self._batch: list[_Waiting] = []
        self._kept: _Waiting | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def submit(
        self, signature: str, feeds: Feeds, rows: int
    ) -> concurrent.futures.Future:
        """Gives the outputs later; raises there what the run raised."""
        done: concurrent.futures.Future = concurrent.futures.Future()
        kind = _kind(signature, feeds)
        self._queue.put(_Waiting(signature, feeds, rows, kind, done))
        if not self.is_working():
            self._refuse_waiting()
        return done

    def is_working(self) -> bool:
        """Whether requests are answered."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Finishes what waits, and stops."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        try:
            while (first := self._kept or self._queue.get()) is not None:
                self._kept, self._batch = None, [first]
                self._gather()
                self._answer()
                if self._closed:
                    return
        finally:
            self._refuse_waiting()

    def _refuse_waiting(self) -> None:
        """Refuses what nobody will answer any more."""
        waiting = [*self._batch, *([self._kept] if self._kept else [])]
        self._batch, self._kept = [], None
        with contextlib.suppress(queue.Empty):
            while True:
                waiting += [one for one in [self._queue.get_nowait()] if one]
        refusal = c_library.GraphError(14, "The model is not running any more")
        for one in waiting:
            # Of a batch some may be answered, and some have gone away.
            with contextlib.suppress(concurrent.futures.InvalidStateError):
                one.done.set_exception(refusal)

    def _gather(self) -> None:
        """Adds to the batch what waits and may run together with its first."""
        first = self._batch[0]
        rows = first.rows
        while True:
            try:
                other = self._queue.get_nowait()
            except queue.Empty:
                return
            if other is None:
                self._closed = True
                return
            alike = other.kind is not None and other.kind == first.kind
            if not alike or rows + other.rows > self._most:
                self._kept = other
                return
            self._batch.append(other)
            rows += other.rows

    def _answer(self) -> None:
        """Runs the batch."""
        # Whoever has gone away meanwhile is left out.
        self._batch = [
            one for one in self._batch if one.done.set_running_or_notify_cancel()
        ]
        answers = self._together(self._batch) if len(self._batch) > 1 else None
        for number, one in enumerate(self._batch):
            try:
                if answers is None:
                    one.done.set_result(self._run(one.signature, one.feeds))
                else:
                    one.done.set_result(answers[number])
            except BaseException as error:  # noqa: BLE001  (raised again at the caller)
                one.done.set_exception(error)

    def _together(self, batch: list[_Waiting]) -> list[Outputs] | None:
        """Outputs for each of a batch, of one run; `None` where each must run alone."""
        try:
            feeds = {
                name: _joined([one.feeds[name] for one in batch])
                for name in batch[0].feeds
            }
            outputs = self._run(batch[0].signature, feeds)
        except BaseException:  # noqa: BLE001  (each runs alone, and raises its own)
            return None
        ends = np.cumsum([one.rows for one in batch])
        if any(v.ndim == 0 or len(v) != ends[-1] for v in outputs.values()):
            return None
        return [
            {name: value[end - one.rows : end] for name, value in outputs.items()}
            for one, end in zip(batch, ends, strict=True)
        ]


def _kind(signature: str, feeds: Feeds) -> tuple | None:
    """Signature and shapes of the rows; `None` where an input has no rows."""
    shapes = {
        name: value.shape if isinstance(value, np.ndarray) else (len(value),)
        for name, value in feeds.items()
    }
    if not all(shapes.values()):
        return None
    return signature, {name: shape[1:] for name, shape in shapes.items()}


def _joined(values: list[c_api.Value]) -> c_api.Value:
    if isinstance(values[0], np.ndarray):
        return np.concatenate(values)
    return [text for value in values for text in value]
