"""Flags of the client."""

from __future__ import annotations

import dataclasses
import os
import re
import urllib.parse

from abe_tf.config.data import MAX_PIXELS
from abe_tf.config.groups import Group, option
from abe_tf.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9_.-]+")
# Whoever asks, and the password; it may hold what ends them elsewhere.
_PASSWORD = re.compile(r"^(\w*://)?.*@", re.DOTALL)


def _is_address(url: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(url)
        named = parts.hostname is not None and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return named and parts.scheme in ("http", "https") and "/v1/models/" in parts.path


def without_password(url: str) -> str:
    """An address, or what was meant as one, as it may be shown."""
    return _PASSWORD.sub(lambda found: f"{found[1] or ''}...@", url)


@dataclasses.dataclass(frozen=True)
class ClientConfig(Group):
    """Whom to ask, what, and how patiently."""

    url: str | None = option(
        None, "address of the model, such as http://HOST:8501/v1/models/abe"
    )
    grpc: bool = option(
        False,
        "ask over gRPC, whose port is usually 8500: --url=http://HOST:8500/v1/models/"
        "abe; of https encrypted",
    )
    header: tuple[str, ...] = option(
        (),
        "sent with each request, such as 'Authorization: Bearer TOKEN'; may come "
        "several times",
        repeated=True,
    )
    ca_file: str | None = option(
        None, "certificates (PEM) that a server's own is checked against"
    )
    signature: str = option("serving_default", "the signature")
    label: str | None = option(None, "a version's label, such as stable")
    json: bool = option(False, "print a line of JSON an image, beside --npy too")
    npy: str | None = option(
        None,
        "write the answers there instead (.npz, with ids); where the server goes "
        "away, those that there are",
    )
    batch_size: int = option(16, "images of one request", lower=1)
    concurrency: int = option(4, "requests at once", lower=1, upper=64)
    retries: int = option(
        7, "tries after 429, 502, 503, 504 or a lost connection", lower=0
    )
    timeout: float = option(
        60.0, "seconds that a request may take, to the answer's last byte", lower=0.1
    )
    wait_seconds: float = option(
        120.0,
        "seconds in which a request is tried again, whatever the server asks for",
        lower=0,
    )
    answer_mb: int = option(256, "a longer answer to one request is refused", lower=1)
    max_pixels: int = option(
        MAX_PIXELS,
        "WebP, TIFF, AVIF, HEIC and old BMP files of more pixels are not converted; "
        "what the server decodes has its export's own bound",
        lower=1,
    )

    def require(self) -> str:
        """The address.

        Raises:
          InputError: None was given, or it is none of a model.
        """
        if not self.url or not _is_address(self.url):
            raise InputError(
                "--url must be a model's address, such as "
                "http://localhost:8501/v1/models/abe. "
                f"Received: {without_password(self.url or '')!r}."
            )
        if self.npy and not self.npy.endswith(".npz"):
            raise InputError(f"--npy must end in .npz. Received: {self.npy!r}.")
        if self.npy and not os.access(os.path.dirname(self.npy) or ".", os.W_OK):
            raise InputError(
                "--npy must lie in a folder that can be written. "
                f"Received: {self.npy!r}."
            )
        if self.ca_file and not os.path.isfile(self.ca_file):
            raise InputError(
                "--ca_file must be an existing file of certificates. "
                f"Received: {self.ca_file!r}."
            )
        return self.url

    def headers(self) -> dict[str, str]:
        """The headers by name.

        Raises:
          InputError: One is not of the form NAME: VALUE.
        """
        by_name = {}
        for text in self.header:
            name, colon, value = text.partition(":")
            is_value = value.strip().isascii() and value.strip().isprintable()
            # Over gRPC such names are for bytes.
            of_bytes = self.grpc and name.lower().endswith("-bin")
            if not (colon and _NAME.fullmatch(name) and is_value) or of_bytes:
                raise InputError(
                    "--header must be NAME: VALUE, such as 'Authorization: Bearer "
                    f"TOKEN'. Received: {name + colon!r} and a value of {len(value)} "
                    "characters."
                )
            by_name[name] = value.strip()
        return by_name
