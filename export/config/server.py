"""Flags of the local server."""

from __future__ import annotations

import dataclasses
import os

from abe_tf.config.groups import Group, option
from abe_tf.errors import InputError
from abe_tf.storage.files import check_place


@dataclasses.dataclass(frozen=True)
class ServerConfig(Group):
    """What is served, where, and how much of it."""

    model_dir: str | None = option(None, "the folder that export.saved_model wrote")
    model_name: str = option("abe", "what addresses call the model")
    port: int = option(8501, "the port", lower=1, upper=65535)
    host: str = option("127.0.0.1", "the address; 0.0.0.0 lets other machines in")
    max_request_mb: int = option(32, "larger requests are refused", lower=1)
    max_rows: int = option(256, "images of one request", lower=1)
    max_batch_size: int = option(16, "images that run together at most", lower=1)
    max_connections: int = option(256, "connections at once; 503 above", lower=1)
    request_seconds: float = option(
        30.0, "a request must have arrived by then", lower=0.1
    )
    run_seconds: float = option(
        30.0, "a run of the model ends by then, with status 504", lower=0.1
    )
    max_in_flight_mb: int = option(
        512,
        "bytes of all requests that are being read and answered, in MB; 503 above",
        lower=1,
    )
    access_log: bool = option(
        False, "write a line of JSON for each request to standard error"
    )
    drain_seconds: float = option(
        10.0,
        "after SIGTERM versions are told as UNLOADING at once, and requests answered "
        "for so long",
        lower=0,
    )
    load_retry_seconds: float = option(
        60.0, "before a version that did not load is tried again", lower=0
    )

    def require(self) -> str:
        """The model folder.

        Raises:
          InputError: None was given, it does not exist, or TensorFlow would not find
            its files.
        """
        if not self.model_dir or not os.path.isdir(self.model_dir):
            raise InputError(
                "--model_dir must be a folder that export.saved_model wrote. "
                f"Received: {self.model_dir!r}."
            )
        check_place("model_dir", self.model_dir)
        return self.model_dir
