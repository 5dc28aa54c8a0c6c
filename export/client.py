"""Asks TensorFlow Serving, or the local server, about image files.

python -m export.client --url=http://localhost:8501/v1/models/abe PHOTO.jpg FOLDER
"""

from __future__ import annotations

import base64
import concurrent.futures
import dataclasses
import errno
import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from abe_tf.config import command
from abe_tf.data import photos
from abe_tf.errors import InputError
from abe_tf.storage.files import writing
from export.config.client import ClientConfig

# Refusals for which no image is to blame.
_NOT_THE_IMAGES = (
    *("Serving signature name", "Unrecognized servable version label"),
    *("Malformed request", "does not have named input", "Missing named input"),
    "JSON Parse error",
)


# Seconds before a file that was refused alone is asked about again.
_PAUSES = (0.1, 0.4, 1.0)
_EXCERPT = 60


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
        except ValueError as error:
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


def find_images(paths: Sequence[str]) -> list[str]:
    """Files as given, and all photos below folders.

    What is left out in folders is named and counted on standard error.

    Raises:
      InputError: A path does not exist, a folder cannot be read, or there is no image.
    """
    found: list[str] = []
    for path in paths:
        if os.path.isdir(path):
            try:
                below = photos.find(path)
            except OSError as error:
                raise InputError(
                    f"Folders must be readable. Received: {error.filename!r}: "
                    f"{error.strerror}."
                ) from error
            photos.tell_left_out(below.left_out, path)
            found += below.paths
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
    answers = _Answers(len(images), options.json or not options.npy)
    try:
        for answer in client.ask(images):
            answers.take(answer)
    except ServerError as error:
        raise InputError(f"{error}") from error
    finally:
        # Also after Ctrl-C: what was answered is the user's.
        if options.npy and answers.answered:
            answers.write(options.npy)
        print(
            f"{len(answers.answered)} of {len(images)} images answered", file=sys.stderr
        )
    if answers.refused:
        sys.exit(1)


class _Answers:
    """Takes what a server answers, prints it, and writes it.

    Args:
      count: How many images are asked about.
      printed: Whether answers are printed.

    Attributes:
      answered: Paths and answers, as JSON has them.
      refused: How many images have none.
    """

    def __init__(self, count: int, printed: bool) -> None:
        self._count, self._printed = count, printed
        self._shapes: dict[str, tuple[int, ...]] | None = None
        self.answered: list[tuple[str, Any]] = []
        self.refused = 0

    def take(self, answer: tuple[str, Any] | Refused) -> None:
        """Takes the answer about one image; one that is no array counts as refused."""
        if not isinstance(answer, Refused):
            shapes = _shapes(answer[1])
            self._shapes = self._shapes or shapes
            if shapes is None or shapes != self._shapes:
                answer = Refused(
                    answer[0],
                    f"answered with {_excerpt(answer[1])}, no numbers or text of the "
                    "others' shape",
                )
        if isinstance(answer, Refused):
            self.refused += 1
            print(f"refused: {answer.path}: {answer.reason}", file=sys.stderr)
            return
        self.answered.append(answer)
        if self._printed:
            print(json.dumps({"id": answer[0], "answer": answer[1]}))
        if sys.stderr.isatty():
            done = len(self.answered) + self.refused
            print(f"\r{done}/{self._count}", end="", file=sys.stderr)

    def write(self, path: str) -> None:
        """Writes an .npz file: ids, and an array for each output."""
        arrays = {"ids": np.array([one for one, _ in self.answered])}
        several = isinstance(self.answered[0][1], dict)
        for name in self._shapes or {}:
            values = [value[name] if several else value for _, value in self.answered]
            array = np.array(values)
            is_text = array.dtype.kind == "U"
            arrays[name] = array if is_text else array.astype(np.float32)
        with writing(path) as file:
            np.savez(file, **arrays)


def _shapes(answer: Any) -> dict[str, tuple[int, ...]] | None:
    """Shapes of an answer's arrays by name; `None` where it is not made of arrays."""
    values = answer if isinstance(answer, dict) else {"answers": answer}
    shapes = {}
    for name, value in values.items():
        try:
            array = np.array(value)
        except ValueError:  # ragged
            return None
        if array.dtype.kind not in "biufU":
            return None
        shapes[name] = (*array.shape, array.dtype.kind == "U")
    return shapes


def _excerpt(answer: Any) -> str:
    text = json.dumps(answer)
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."


if __name__ == "__main__":
    command.run(main, ClientConfig, with_arguments=True)
