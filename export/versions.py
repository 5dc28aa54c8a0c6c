"""Which versions of a model are loaded, and which a request means."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Iterator

from export import c_api, c_library, model_folder
from export.batching import Batcher
from export.rest import RequestError

_LABEL = re.compile(r'version_labels\s*\{\s*key:\s*"([^"]+)"\s*value:\s*(\d+)\s*\}')
_LISTED = re.compile(r"\bversions:\s*(\d+)")


class Version:
    """A loaded version, freed when nobody uses it any more.

    Args:
      path: Its folder.
      most: Rows that run together at most.
    """

    def __init__(self, path: str, most: int) -> None:
        self._model = c_api.Model(path)
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

    Those that models.config lists are loaded, the highest where there is no such file.

    Args:
      folder: The model folder.
      name: Of the model.
      most: Rows that run together at most.
    """

    def __init__(self, folder: str, name: str, most: int) -> None:
        self._folder, self._name, self._most = folder, name, most
        self._loaded: dict[int, Version] = {}
        self._labels: dict[str, int] = {}
        self._failed: set[int] = set()
        self._lock = threading.Lock()
        self.refresh()

    def refresh(self) -> None:
        """Loads what is new, then lets go of what is not wanted any more."""
        wanted, labels = self._wanted()
        for number in sorted(wanted - set(self._loaded) - self._failed):
            try:
                path = os.path.join(self._folder, str(number))
                version = Version(path, self._most)
            except c_library.GraphError as error:
                self._failed.add(number)
                print(f"version {number} does not load: {error}", file=sys.stderr)
                continue
            with self._lock:
                self._loaded[number] = version
            print(f"version {number} of {self._name} is loaded", flush=True)
        with self._lock:
            self._labels = labels
            # The old one stays where the new one does not load.
            gone = set(self._loaded) - wanted if wanted & set(self._loaded) else set()
            retired = [self._loaded.pop(number) for number in gone]
        for version in retired:
            version.retire()

    def watch(self, seconds: float) -> None:
        """Refreshes for ever."""
        while True:
            time.sleep(seconds)
            self.refresh()

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
            known = dict.fromkeys(self._loaded, "AVAILABLE")
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
        there = set(model_folder.versions(self._folder))
        path = os.path.join(self._folder, "models.config")
        if os.path.isfile(path):
            with open(path, encoding="utf-8") as file:
                text = file.read()
            listed = {int(number) for number in _LISTED.findall(text)} & there
            labels = {label: int(number) for label, number in _LABEL.findall(text)}
            # A version that is newer than the file was just written: the next look
            # finds the file written too.
            return listed, {k: v for k, v in labels.items() if v in listed}
        return ({max(there)} if there else set()), {}
