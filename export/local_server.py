"""Answers as TensorFlow Serving does over REST, for development and tests.

python -m export.local_server --model_dir=models/digits_abe4 --port=8501
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import uvicorn

from abe_tf.config import command
from abe_tf.web.head_limits import BoundedHeads, Connections
from export.config.server import ServerConfig
from export.server.application import Server
from export.server.versions import Versions

_POLL_SECONDS = 1.0
# How long new connections are taken after SIGTERM, as a share of what they are answered
# in: whoever sends requests must first see that there is no version any more.
_STILL_LISTENING = 0.1


class _Draining(uvicorn.Server):
    """Ends well: says so, answers what has come, and ends with status 0.

    Args:
      config: uvicorn's.
      versions: What is served.
      seconds: For all of it.
    """

    def __init__(
        self, config: uvicorn.Config, versions: Versions, seconds: float
    ) -> None:
        super().__init__(config)
        self._versions, self._seconds = versions, seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signalled = False

    async def startup(self, sockets: list | None = None) -> None:
        """Begins to listen."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Takes the signals that end the server; they are not raised once more."""
        names = (signal.SIGINT, signal.SIGTERM)
        before = {name: signal.signal(name, self.handle_exit) for name in names}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins the end; a second signal ends it without waiting for anybody."""
        self._versions.end()
        if self._loop is None or self._signalled:
            self.should_exit = True
            super().handle_exit(signal.SIGINT, frame)
            return
        self._signalled = True
        wait = _STILL_LISTENING * self._seconds if sig == signal.SIGTERM else 0
        self._loop.call_soon_threadsafe(self._loop.call_later, wait, self._end)

    def _end(self) -> None:
        self.should_exit = True


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
    connections = Connections(options.request_seconds)
    # While there is no version, requests are told so.
    watching = threading.Thread(
        target=versions.watch, args=(_POLL_SECONDS,), daemon=True
    )
    watching.start()
    config = uvicorn.Config(
        Server(versions, options, connections),
        host=options.host,
        port=options.port,
        log_level="warning",
        http=functools.partial(BoundedHeads, connections),  # type: ignore[arg-type]
        ws="none",
        # Of whole seconds; the rest has gone by before.
        timeout_graceful_shutdown=round(
            (1 - _STILL_LISTENING) * options.drain_seconds + 0.5
        ),
    )
    _Draining(config, versions, options.drain_seconds).run()


if __name__ == "__main__":
    command.run(main, ServerConfig)
