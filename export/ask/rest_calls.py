"""One request of TensorFlow Serving's REST interface, bounded in time and size."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import requests
from urllib3.exceptions import HTTPError

from export.ask.bounded import BoundedAdapter
from export.ask.errors import NEVER, ServerError
from export.config.client import without_password

_MB = 2**20
_CHUNK = 64 * 1024


class RestCalls:
    """A model's address. Threads may share it.

    Args:
      url: Address of the model, such as `http://localhost:8501/v1/models/abe`.
      signature: What is asked.
      label: Label of a version; the newest where `None`.
      timeout: Seconds that a request may take, from the first byte to the last.
      most_mb: Megabytes of an answer at most.
      headers: Sent with each request, such as `Authorization`.
      ca_file: File of the authorities that a server's certificate is checked against;
        the usual ones where `None`.
    """

    def __init__(
        self,
        url: str,
        signature: str,
        label: str | None,
        timeout: float,
        most_mb: int,
        headers: Mapping[str, str],
        ca_file: str | None,
    ) -> None:
        which = f"/labels/{label}" if label else ""
        self._url = f"{url.rstrip('/')}{which}:predict"
        self._shown = without_password(self._url)
        self._signature, self._timeout = signature, timeout
        self._most, self._headers, self._ca_file = most_mb * _MB, headers, ca_file
        self._local = threading.local()

    def __call__(self, encoded: Sequence[bytes]) -> list[Any]:
        """Asks about the bytes of image files.

        Returns:
          An answer an image, as JSON has it.

        Raises:
          ServerError: The server refuses, or is not there.
        """
        instances = [
            {"image_bytes": {"b64": base64.b64encode(one).decode()}} for one in encoded
        ]
        body: Any = {"signature_name": self._signature, "instances": instances}
        end = time.monotonic() + self._timeout
        try:
            with self._session().post(
                self._url,
                json=body,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
                # Not of the session, where variables of the environment come before.
                verify=self._ca_file or True,
            ) as answer:
                return self._predictions(answer, self._read(answer, end), len(encoded))
        except (OSError, HTTPError, ValueError) as error:
            # requests' own are OSErrors, and ValueErrors for addresses that are none.
            # It names the address, and a password that stands in it.
            reason = str(error).replace(self._url, self._shown)
            text = f"{self._shown} does not answer: {reason}"
            heals = not isinstance(error, (ValueError, requests.exceptions.SSLError))
            raise ServerError(0 if heals else NEVER, text) from error

    def _read(self, answer: requests.Response, end: float) -> bytes:
        """All of an answer, as long as it is neither too long nor too late."""
        content = bytearray()
        # What has come, and not until so much has: a byte now and then is slow too.
        while part := answer.raw.read1(_CHUNK, decode_content=True):
            content += part
            if len(content) > self._most:
                text = f"{self._shown} answered more than {self._most // _MB} MB"
                raise ServerError(answer.status_code, f"{text}; see --answer_mb")
            if time.monotonic() > end:
                text = f"{self._shown} takes more than {self._timeout:g} s to answer"
                raise ServerError(0, text)
        return bytes(content)

    def _predictions(
        self, answer: requests.Response, content: bytes, count: int
    ) -> list[Any]:
        status = answer.status_code
        if answer.is_redirect:
            # Photos go to whom they were meant for and to nobody else.
            where = without_password(answer.headers["location"])
            raise ServerError(
                status,
                f"{self._shown} points to {where!r}, where nothing is sent. Give that "
                "address as --url if it is right.",
            )
        pause = _seconds(answer.headers.get("retry-after", ""))
        try:
            body = json.loads(content)
        except (ValueError, RecursionError) as error:
            text = f"{self._shown} answered {status} without JSON"
            # An answer without a length that was cut off looks so too.
            raise ServerError(0 if status == 200 else status, text, pause) from error
        if not isinstance(body, dict):
            body = {"error": f"{self._shown} answered with no object"}
        if status != 200 or "predictions" not in body:
            raise ServerError(status, str(body.get("error", body)), pause)
        return checked(body["predictions"], count, self._shown, status)

    def _session(self) -> requests.Session:
        """One a thread: sessions are not made to be shared."""
        if not hasattr(self._local, "session"):
            session = requests.Session()
            session.headers.update(self._headers)
            if any(name.lower() == "authorization" for name in self._headers):
                # Or what a file of passwords has for the host would take its place.
                session.auth = _as_it_is
            for scheme in ("http://", "https://"):
                session.mount(scheme, BoundedAdapter())
            self._local.session = session
        return self._local.session


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def checked(answers: Any, count: int, shown: str, status: int) -> list[Any]:
    """Predictions, if there is one for each image.

    Raises:
      ServerError: It is not so.
    """
    if isinstance(answers, list) and len(answers) == count:
        return answers
    got = len(answers) if isinstance(answers, list) else "none"
    raise ServerError(
        status,
        f"{shown} must answer once for each of {count} images. Received: {got} "
        "predictions. Is it a model of abe_tf?",
    )


def _seconds(text: str) -> float:
    """What `Retry-After` asks to wait; dates and the like count as nothing."""
    return float(text) if text.isascii() and text.isdigit() else 0.0
