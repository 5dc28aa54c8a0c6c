"""A model behind TensorFlow Serving's REST interface, asked about image files."""

from __future__ import annotations

import base64
import concurrent.futures
import dataclasses
import errno
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

# Refusals for which no image is to blame.
_NOT_THE_IMAGES = (
    *("Serving signature name", "Unrecognized servable version label"),
    *("Malformed request", "does not have named input", "Missing named input"),
    "JSON Parse error",
)


# Seconds before a file that was refused alone is asked about again.
_PAUSES = (0.1, 0.4, 1.0)


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
        batches = [list(paths[i : i + size]) for i in range(0, len(paths), size)]
        failed = None
        with concurrent.futures.ThreadPoolExecutor(self._concurrency) as pool:
            asked = [pool.submit(self._ask_about, batch) for batch in batches]
            try:
                for one in asked:
                    try:
                        yield from one.result()
                    except ServerError as error:
                        failed = failed or error
                        pool.shutdown(wait=False, cancel_futures=True)
                    except concurrent.futures.CancelledError:
                        continue
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
        if failed is not None:
            raise failed

    def _ask_about(self, paths: list[str]) -> list[tuple[str, Any] | Refused]:
        encoded, unread = [], {}
        for path in paths:
            try:
                # A pipe would wait for ever.
                if os.path.exists(path) and not os.path.isfile(path):
                    raise OSError(errno.EINVAL, "no regular file")
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
                return [self._once_more(paths[0], encoded[0], error)]
        half = len(paths) // 2
        first = self._bisected(paths[:half], encoded[:half])
        return first + self._bisected(paths[half:], encoded[half:])

    def _once_more(
        self, path: str, encoded: bytes, refusal: ServerError
    ) -> tuple[str, Any] | Refused:
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
            answer = self._session().post(
                self._url, json=body, timeout=self._timeout, allow_redirects=False
            )
        except requests.RequestException as error:
            raise ServerError(0, f"{self._url} does not answer: {error}") from error
        if answer.is_redirect:
            # Photos go to whom they were meant for and to nobody else.
            raise ServerError(
                answer.status_code,
                f"{self._url} points to {answer.headers['location']!r}, where nothing "
                "is sent. Give that address as --url if it is right.",
            )
        try:
            found = answer.json()
        except (ValueError, RecursionError) as error:
            text = f"{self._url} answered {answer.status_code} without JSON"
            raise ServerError(answer.status_code, text) from error
        if not isinstance(found, dict):
            found = {"error": f"{self._url} answered with no object"}
        if answer.status_code != 200 or "predictions" not in found:
            raise ServerError(answer.status_code, str(found.get("error", found)))
        predictions = found["predictions"]
        if not isinstance(predictions, list) or len(predictions) != len(encoded):
            count = len(predictions) if isinstance(predictions, list) else "none"
            raise ServerError(
                answer.status_code,
                f"{self._url} must answer once for each of {len(encoded)} images. "
                f"Received: {count} predictions. Is it a model of abe_tf?",
            )
        return predictions

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
