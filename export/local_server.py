"""Answers as TensorFlow Serving does over REST, for development and tests.

python -m export.local_server --model_dir=models/digits_abe4 --port=8501
"""

from __future__ import annotations

import functools
import threading

import uvicorn

from abe_tf.config import command
from abe_tf.errors import InputError
from export.config.server import ServerConfig
from export.server.application import Server
from export.server.head_limits import BoundedHeads, Connections
from export.server.versions import Versions

_POLL_SECONDS = 1.0


def main(options: ServerConfig) -> None:
    """Serves until it is stopped."""
    folder = options.require()
    print(
        "This stands in for TensorFlow Serving, for development and tests: "
        f"http://{options.host}:{options.port}/v1/models/{options.model_name}",
        flush=True,
    )
    versions = Versions(
        folder,
        options.model_name,
        options.max_batch_size,
        options.load_retry_seconds,
        options.run_seconds,
    )
    if not versions.states(None, None):
        raise InputError(
            f"--model_dir must hold a version that loads. Received: {folder!r}, of "
            "which none does. Export again."
        )
    connections = Connections(options.request_seconds)
    watching = threading.Thread(
        target=versions.watch, args=(_POLL_SECONDS,), daemon=True
    )
    watching.start()
    uvicorn.run(
        Server(versions, options, connections),
        host=options.host,
        port=options.port,
        log_level="warning",
        http=functools.partial(BoundedHeads, connections),  # type: ignore[arg-type]
        ws="none",
        timeout_graceful_shutdown=10,
    )


if __name__ == "__main__":
    command.run(main, ServerConfig)
