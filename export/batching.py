"""Puts requests that wait together into one run of the model."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import queue
import threading
from collections.abc import Callable

import numpy as np

from export import c_api, c_library

Outputs = dict[str, np.ndarray]
Feeds = dict[str, c_api.Value]


@dataclasses.dataclass(frozen=True)
class _Waiting:
    signature: str
    feeds: Feeds
    rows: int
    done: concurrent.futures.Future


class Batcher:
    """Runs a model for many callers: whatever waits when it is free runs together.

    No request waits for others to come. Where a batch fails, each of its requests runs
    alone, so that a broken image costs only itself.

    Args:
      run: Runs a signature.
      most: Rows that run together at most; a larger request runs alone.
    """

    def __init__(self, run: Callable[[str, Feeds], Outputs], most: int) -> None:
        self._run, self._most = run, most
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._kept: _Waiting | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def submit(
        self, signature: str, feeds: Feeds, rows: int
    ) -> concurrent.futures.Future:
        """Gives the outputs later; raises there what the run raised."""
        done: concurrent.futures.Future = concurrent.futures.Future()
        self._queue.put(_Waiting(signature, feeds, rows, done))
        return done

    def close(self) -> None:
        """Finishes what waits, and stops."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._kept or self._queue.get()) is not None:
            self._kept = None
            if not self._answer(self._gather(first)):
                return

    def _gather(self, first: _Waiting) -> list[_Waiting | None]:
        batch: list[_Waiting | None] = [first]
        rows = first.rows
        while True:
            try:
                other = self._queue.get_nowait()
            except queue.Empty:
                return batch
            if other is None:
                return [*batch, None]
            if other.signature != first.signature or rows + other.rows > self._most:
                self._kept = other
                return batch
            batch.append(other)
            rows += other.rows

    def _answer(self, batch: list[_Waiting | None]) -> bool:
        """Runs a batch; whether there will be more."""
        waiting = [one for one in batch if one is not None]
        if len(waiting) == 1 or not self._together(waiting):
            for one in waiting:
                self._alone(one)
        return None not in batch

    def _alone(self, one: _Waiting) -> None:
        try:
            one.done.set_result(self._run(one.signature, one.feeds))
        except Exception as error:  # noqa: BLE001  (raised again at the caller)
            one.done.set_exception(error)

    def _together(self, batch: list[_Waiting]) -> bool:
        names = batch[0].feeds
        try:
            feeds = {
                name: _joined([one.feeds[name] for one in batch]) for name in names
            }
            outputs = self._run(batch[0].signature, feeds)
        except (c_library.GraphError, ValueError):
            return False
        ends = np.cumsum([one.rows for one in batch])
        if any(v.ndim == 0 or len(v) != ends[-1] for v in outputs.values()):
            return False
        for one, end in zip(batch, ends, strict=True):
            part = slice(end - one.rows, end)
            one.done.set_result({name: value[part] for name, value in outputs.items()})
        return True


def _joined(values: list[c_api.Value]) -> c_api.Value:
    if isinstance(values[0], np.ndarray):
        return np.concatenate(values)
    return [text for value in values for text in value]
