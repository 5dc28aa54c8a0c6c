"""Asks TensorFlow Serving, or the local server, about image files.

python -m export.client --url=http://localhost:8501/v1/models/abe PHOTO.jpg FOLDER
"""

from __future__ import annotations

import base64
import concurrent.futures
import dataclasses
import io
import json
import os
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from abe_tf.config import command
from abe_tf.config.client import ClientConfig
from abe_tf.config.data import IMAGE_ENDINGS
from abe_tf.errors import InputError
from abe_tf.writing import write_atomically

# Refusals for which no image is to blame.
_NOT_THE_IMAGES = (
    *("Serving signature name", "Unrecognized servable version label"),
    *("Malformed request", "does not have named input", "Missing named input"),
    "JSON Parse error",
)


class ServerError(Exception):
    """What a server answered instead of a result.

    Attributes:
      status: HTTP's code; 0 where there was no answer.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Refused:
    """An image that the server cannot read, and why."""

    path: str
    reason: str


class Client:
    """A model behind TensorFlow Serving's REST interface. Threads may share it.

    Args:
      url: Of the model, such as `http://localhost:8501/v1/models/abe`.
      signature: What is asked.
      label: Of a version; the newest where `None`.
      batch_size: Images of one request.
      concurrency: Requests at once.
      retries: Tries after 429, 503 or a lost connection, each waiting longer.
      timeout: Seconds that a request may take.
    """

    def __init__(
        self,
        url: str,
        signature: str = "serving_default",
        label: str | None = None,
        batch_size: int = 16,
        concurrency: int = 4,
        retries: int = 7,
        timeout: float = 60.0,
    ) -> None:
        which = f"/labels/{label}" if label else ""
        self._url = f"{url.rstrip('/')}{which}:predict"
        self._signature, self._batch_size = signature, batch_size
        self._concurrency, self._timeout = concurrency, timeout
        self._retry = Retry(
            retries,
            backoff_factor=0.5,
            status_forcelist=(429, 503),
            # A prediction changes nothing: asking again is safe.
            allowed_methods=None,
            raise_on_status=False,
        )
        self._local = threading.local()

    def ask(self, paths: Sequence[str]) -> Iterator[tuple[str, Any] | Refused]:
        """Asks about image files.

        A file that the server refuses costs only itself: its batch is halved until it
        is alone.

        Args:
          paths: Image files.

        Yields:
          In the order of the paths: the path and its answer as JSON has it, or that it
          was refused.

        Raises:
          ServerError: The server refuses for another reason, or is not there.
        """
        size = self._batch_size
        batches = [list(paths[i : i + size]) for i in range(0, len(paths), size)]
        with concurrent.futures.ThreadPoolExecutor(self._concurrency) as pool:
            for answers in pool.map(self._ask_about, batches):
                yield from answers

    def _ask_about(self, paths: list[str]) -> list[tuple[str, Any] | Refused]:
        encoded, unread = [], {}
        for path in paths:
            try:
                with open(path, "rb") as file:
                    encoded.append(file.read())
            except OSError as error:
                unread[path] = Refused(path, str(error.strerror))
        read = [path for path in paths if path not in unread]
        found = dict(zip(read, self._bisected(read, encoded), strict=True))
        return [unread.get(path) or found[path] for path in paths]

    def _bisected(
        self, paths: list[str], encoded: list[bytes]
    ) -> list[tuple[str, Any] | Refused]:
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
                return [Refused(paths[0], _in_short(str(error)))]
        half = len(paths) // 2
        first = self._bisected(paths[:half], encoded[:half])
        return first + self._bisected(paths[half:], encoded[half:])

    def predict(self, encoded: Sequence[bytes]) -> list[Any]:
        """Asks about the bytes of image files, in one request.

        Returns:
          An answer an image, as JSON has it.

        Raises:
          ServerError: The server refuses, or is not there.
        """
        instances = [
            {"image_bytes": {"b64": base64.b64encode(one).decode()}} for one in encoded
        ]
        body: Any = {"signature_name": self._signature, "instances": instances}
        try:
            answer = self._session().post(self._url, json=body, timeout=self._timeout)
        except requests.RequestException as error:
            raise ServerError(0, f"{self._url} does not answer: {error}") from error
        try:
            found = answer.json()
        except ValueError as error:
            text = f"{self._url} answered {answer.status_code} without JSON"
            raise ServerError(answer.status_code, text) from error
        if not isinstance(found, dict):
            found = {"error": f"{self._url} answered with no object"}
        if answer.status_code != 200 or "predictions" not in found:
            raise ServerError(answer.status_code, str(found.get("error", found)))
        return found["predictions"]

    def _session(self) -> requests.Session:
        """One a thread: sessions are not made to be shared."""
        if not hasattr(self._local, "session"):
            session = requests.Session()
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(max_retries=self._retry))
            self._local.session = session
        return self._local.session


def _in_short(message: str) -> str:
    """The cause, without TensorFlow's trail of nodes around it."""
    return re.sub(r"\{\{.*?\}\}\s*", "", message.partition("\n")[0])


def find_images(paths: Sequence[str]) -> list[str]:
    """Files as given, and all photos below folders.

    Raises:
      InputError: A path does not exist, or there is no image.
    """
    found: list[str] = []
    for path in paths:
        if os.path.isdir(path):
            for folder, folders, names in os.walk(path):
                folders.sort()
                found += [
                    os.path.join(folder, name)
                    for name in sorted(names)
                    if name.lower().endswith(IMAGE_ENDINGS)
                ]
        elif os.path.exists(path):
            found.append(path)
        else:
            raise InputError(
                f"Images must exist. Received: {path!r}. Correct the path."
            )
    if not found:
        raise InputError(
            f"There must be an image. Received: {', '.join(paths) or 'no path'}."
        )
    return found


def main(options: ClientConfig, paths: list[str]) -> None:
    """Asks, and prints or writes the answers."""
    url = options.require()
    images = find_images(paths)
    client = Client(
        url,
        options.signature,
        options.label,
        options.batch_size,
        options.concurrency,
        options.retries,
        options.timeout,
    )
    answers: list[tuple[str, Any]] = []
    refused, gone = 0, None
    try:
        for number, answer in enumerate(client.ask(images), 1):
            if isinstance(answer, Refused):
                refused += 1
                print(f"refused: {answer.path}: {answer.reason}", file=sys.stderr)
                continue
            answers.append(answer)
            if options.json or not options.npy:
                print(json.dumps({"id": answer[0], "answer": answer[1]}))
            if sys.stderr.isatty():
                print(f"\r{number}/{len(images)}", end="", file=sys.stderr)
    except ServerError as error:
        gone = error
    if options.npy and answers:
        _write(options.npy, answers)
    print(f"{len(answers)} of {len(images)} images answered", file=sys.stderr)
    if gone is not None:
        raise InputError(f"{gone}") from gone
    if refused:
        sys.exit(1)


def _write(path: str, answers: Sequence[tuple[str, Any]]) -> None:
    arrays: dict[str, np.ndarray] = {"ids": np.array([one for one, _ in answers])}
    several = answers and isinstance(answers[0][1], dict)
    for name in answers[0][1] if several else ["answers"]:
        values = [answer[name] if several else answer for _, answer in answers]
        array = np.array(values)
        is_text = array.dtype.kind == "U"
        arrays[name] = array if is_text else array.astype(np.float32)
    file = io.BytesIO()
    np.savez(file, **arrays)
    write_atomically(path, file.getvalue())


if __name__ == "__main__":
    command.run(main, ClientConfig, with_arguments=True)
