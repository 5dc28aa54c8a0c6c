"""Which versions of a model are loaded, and which a request means."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Iterator

from export.runtime import c_api, c_library, model_folder
from export.server.batching import Batcher
from export.server.rest import RequestError

_LABEL = re.compile(r'version_labels\s*\{\s*key:\s*"([^"]+)"\s*value:\s*(\d+)\s*\}')
_LISTED = re.compile(r"\bversions:\s*(\d+)")
_LATEST = re.compile(r"\bnum_versions:\s*(\d+)")
# As often as TensorFlow Serving tries to load a version again.
_RETRIES = 5


class Version:
    """A loaded version, freed when nobody uses it any more.

    Args:
      path: Its folder.
      most: Rows that run together at most.
      seconds: That a run may take.
    """

    def __init__(self, path: str, most: int, seconds: float) -> None:
        self._model = c_api.Model(path, seconds)
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
            self._free()

    def retire(self) -> None:
        """Frees it as soon as nobody uses it."""
        with self._lock:
            self._retired = True
            last = not self._users
        if last:
            self._free()

    def _free(self) -> None:
        self.batcher.close()
        self._model.close()


class Versions:
    """The versions of one model folder, looked at again and again.

    Those that models.config lists are loaded, or as many of the newest as it asks for;
    the newest where there is no such file.

    Args:
      folder: The model folder.
      name: Of the model.
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
        # How often, and when it may be tried again.
        self._failed: dict[int, tuple[int, float]] = {}
        self._lock = threading.Lock()
        self.refresh()

    def refresh(self) -> None:
        """Loads what is new, then lets go of what is not wanted any more."""
        wanted, labels = self._wanted()
        for number in sorted(wanted - set(self._loaded)):
            tries, not_before = self._failed.get(number, (0, 0.0))
            if tries > _RETRIES or time.monotonic() < not_before:
                continue
            try:
                path = os.path.join(self._folder, str(number))
                version = Version(path, self._most, self._run_seconds)
            except c_library.GraphError as error:
                again = time.monotonic() + self._retry_seconds
                self._failed[number] = tries + 1, again
                print(f"version {number} does not load: {error}", file=sys.stderr)
                continue
            with self._lock:
                self._loaded[number] = version
            print(f"version {number} of {self._name} is loaded", flush=True)
        with self._lock:
            if self._may_move(labels):
                self._labels = labels
            # The old one stays where the new one does not load.
            gone = set(self._loaded) - wanted if wanted & set(self._loaded) else set()
            retired = [self._loaded.pop(number) for number in gone]
        for version in retired:
            version.retire()

    def _may_move(self, labels: dict[str, int]) -> bool:
        """Whether no label would move to a version that is not loaded."""
        return all(
            self._labels.get(label, number) == number or number in self._loaded
            for label, number in labels.items()
        )

    def watch(self, seconds: float) -> None:
        """Refreshes for ever."""
        while True:
            time.sleep(seconds)
            try:
                self.refresh()
            except Exception as error:  # noqa: BLE001  (the next look may succeed)
                # A folder that is away, a file that is being written, no memory.
                print(f"{self._folder} cannot be read: {error!r}", file=sys.stderr)

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

    def states(self, number: int | None, label: str | None) -> dict[int, str]:
        """The state of one version, or of all.

        Raises:
          RequestError: There is none.
        """
        with self._lock:
            if label is not None:
                number = self._number(None, label)
            known = {
                loaded: "AVAILABLE" if version.batcher.is_working() else "END"
                for loaded, version in self._loaded.items()
            }
            if number is None:
                return known
            if number not in known:
                text = f"Could not find version {number} of model {self._name}"
                raise RequestError(404, text)
            return {number: known[number]}

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

    def _wanted(self) -> tuple[set[int], dict[str, int]]:
        there = model_folder.versions(self._folder)
        path = os.path.join(self._folder, "models.config")
        if os.path.isfile(path):
            with open(path, encoding="utf-8") as file:
                text = file.read()
            listed = {int(number) for number in _LISTED.findall(text)}
            found = _LATEST.search(text)
            labels = {label: int(number) for label, number in _LABEL.findall(text)}
            if listed:
                return listed & set(there), labels
            return set(there[-int(found[1]) :] if found else there[-1:]), labels
        return set(there[-1:]), {}
