"""Which versions of a model are loaded, and which a request means."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import threading
import time
from collections.abc import Iterator

from export.runtime import c_api
from export.runtime.c_library import GraphError
from export.server import model_config, warmup
from export.server.answers import State
from export.server.batching import Batcher
from export.server.values import RequestError

# As often as TensorFlow Serving tries to load a version again.
_RETRIES = 5
# TensorFlow's code for what nobody has foreseen.
_INTERNAL = 13


class Version:
    """A loaded version, freed when nobody uses it any more.

    Args:
      path: Its folder.
      most: Rows that run together at most.
      seconds: That a run may take.
    """

    def __init__(self, path: str, most: int, seconds: float) -> None:
        self._model = c_api.LoadedModel(path, seconds)
        try:
            warmup.replay(self._model, path)
        except BaseException:
            self._model.close()
            raise
        self.signatures = self._model.signatures
        self.batcher = Batcher(self._model.run, most)
        self._users, self._retired = 0, False
        self._lock = threading.Lock()

    def acquire(self) -> None:
        """Keeps it loaded until `release`."""
        with self._lock:
            self._users += 1

    def release(self) -> None:
        """Ends a use."""
        with self._lock:
            self._users -= 1
            last = self._retired and not self._users
        if last:
            self._free_aside()

    def retire(self) -> None:
        """Frees it as soon as nobody uses it."""
        with self._lock:
            self._retired = True
            last = not self._users
        if last:
            self._free_aside()

    def _free_aside(self) -> None:
        """In a thread: a run that nobody waits for any more may be under way."""
        threading.Thread(target=self._free, daemon=True).start()

    def _free(self) -> None:
        self.batcher.close()
        self._model.close()


@dataclasses.dataclass(frozen=True)
class _Failure:
    """A version that did not load: how often, until when it rests, and why."""

    tries: int
    not_before: float
    code: int
    reason: str

    def may_be_tried(self) -> bool:
        """Whether it is to be loaded once more."""
        return self.tries <= _RETRIES and time.monotonic() >= self.not_before


class Versions:
    """The versions of one model folder, looked at again and again.

    Those that models.config lists are loaded, or as many of the newest as it asks for;
    the newest where there is no such file.

    Args:
      folder: The model folder.
      name: Name of the model.
      most: Rows that run together at most.
      retry_seconds: Until a version that did not load is tried again, five times.
      run_seconds: That a run may take.
    """

    def __init__(
        self,
        folder: str,
        name: str,
        most: int,
        retry_seconds: float,
        run_seconds: float,
    ) -> None:
        self._folder, self._name, self._most = folder, name, most
        self._retry_seconds, self._run_seconds = retry_seconds, run_seconds
        self._loaded: dict[int, Version] = {}
        self._labels: dict[str, int] = {}
        self._failed: dict[int, _Failure] = {}
        # What is to be loaded next, the first of it now.
        self._due: list[int] = []
        self._is_ending = False
        self._lock = threading.Lock()

    def refresh(self) -> None:
        """Loads what is new, then lets go of what is not wanted any more.

        Raises:
          OSError: The folder cannot be read.
          ValueError: models.config is none.
        """
        listed = model_config.wanted(self._folder, self._name)
        wanted, labels = listed.versions, listed.labels
        self._due = [
            number
            for number in sorted(wanted - set(self._loaded))
            if number not in self._failed or self._failed[number].may_be_tried()
        ]
        while self._due:
            self._load(self._due[0])
            self._due = self._due[1:]
        with self._lock:
            if self._may_move(labels):
                self._labels = labels
            # The old one stays where the new one does not load.
            gone = set(self._loaded) - wanted if wanted & set(self._loaded) else set()
            retired = [self._loaded.pop(number) for number in gone]
            for number in set(self._failed) - wanted:
                del self._failed[number]
        for version in retired:
            version.retire()

    def _load(self, number: int) -> None:
        try:
            path = os.path.join(self._folder, str(number))
            version = Version(path, self._most, self._run_seconds)
        except Exception as error:  # noqa: BLE001  (another version may well load)
            tries = self._failed[number].tries + 1 if number in self._failed else 1
            again = time.monotonic() + self._retry_seconds
            code, reason = _INTERNAL, repr(error)
            if isinstance(error, GraphError):
                code, reason = error.code, str(error)
            with self._lock:
                self._failed[number] = _Failure(tries, again, code, reason)
            print(f"version {number} does not load: {reason}", file=sys.stderr)
            return
        with self._lock:
            self._failed.pop(number, None)
            self._loaded[number] = version
        print(f"version {number} of {self._name} is loaded", flush=True)

    def end(self) -> None:
        """Has all versions say that they are unloaded, and answer all the same."""
        self._is_ending = True

    def _may_move(self, labels: dict[str, int]) -> bool:
        """Whether no label would move to a version that is not loaded."""
        return all(
            self._labels.get(label, number) == number or number in self._loaded
            for label, number in labels.items()
        )

    def watch(self, seconds: float) -> None:
        """Refreshes for ever."""
        said = ""
        while True:
            try:
                self.refresh()
                said = ""
            except Exception as error:  # noqa: BLE001  (the next look may succeed)
                # A folder that is away, a file that is being written, no memory.
                text = f"{self._folder} cannot be read: {error!r}"
                if text != said:
                    print(text, file=sys.stderr)
                said = text
            time.sleep(seconds)

    @contextlib.contextmanager
    def use(
        self, number: int | None, label: str | None
    ) -> Iterator[tuple[int, Version]]:
        """The version that a request means, kept while it runs.

        Raises:
          RequestError: There is none.
        """
        with self._lock:
            wanted = self._number(number, label)
            version = self._loaded[wanted]
            version.acquire()
        try:
            yield wanted, version
        finally:
            version.release()

    def states(self, number: int | None, label: str | None) -> dict[int, State]:
        """The state of one version, or of all.

        Raises:
          RequestError: There is none.
        """
        with self._lock:
            if label is not None:
                number = self._number(None, label)
            known = {
                failed: State("END", failure.code, failure.reason)
                for failed, failure in self._failed.items()
            }
            for place, due in enumerate(self._due):
                known[due] = State("START" if place else "LOADING")
            known |= {
                loaded: self._state(version) for loaded, version in self._loaded.items()
            }
            if number is None:
                return known
            if number not in known:
                text = f"Could not find version {number} of model {self._name}"
                raise RequestError(404, text)
            return {number: known[number]}

    def _state(self, version: Version) -> State:
        if not version.batcher.is_working():
            return State("END", 13, "The model is not running any more")
        return State("UNLOADING" if self._is_ending else "AVAILABLE")

    def _number(self, number: int | None, label: str | None) -> int:
        if label is not None:
            if label not in self._labels:
                text = f"Unrecognized servable version label: {label}"
                raise RequestError(400, text)
            number = self._labels[label]
        if number is None and self._loaded:
            return max(self._loaded)
        if number is None or number not in self._loaded:
            which = f"Latest({self._name})"
            if number is not None:
                which = f"Specific({self._name}, {number})"
            raise RequestError(404, f"Servable not found for request: {which}")
        return number
