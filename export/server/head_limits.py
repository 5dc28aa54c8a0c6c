"""Bounds on connections and on the heads of requests, below the application."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from export.server import answers

# Bytes of address and headers together.
_LARGEST = 64 * 1024


@dataclasses.dataclass
class Connections:
    """What all connections of a server share.

    Attributes:
      seconds: For a head to arrive: from the connection, or the first byte after an
        answer, to the empty line behind the headers.
      open: How many there are.
    """

    seconds: float
    open: int = 0


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's protocol; a head that is late or long ends its connection.

    uvicorn itself waits for ever for a head, and keeps all of it. A connection that
    sends nothing after an answer is uvicorn's own matter: it ends after five seconds.

    Args:
      shared: What all connections share.
      **uvicorn: What uvicorn hands over.
    """

    def __init__(self, shared: Connections, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._shared = shared
        self._late: asyncio.TimerHandle | None = None
        self._received = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock."""
        super().connection_made(transport)
        self._shared.open += 1
        self._begin()

    def on_headers_complete(self) -> None:
        """Stops the clock."""
        self._end()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Counts what belongs to a head."""
        if self._late is not None:
            self._received += len(data)
        super().data_received(data)
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._late is None and not self.transport.is_closing():
            # Whatever it is, it has ended uvicorn's own clock.
            self._begin()
        if self._late is not None and self._received > _LARGEST:
            self._refuse(b"431 Request Header Fields Too Large")

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        self._shared.open -= 1
        self._end()
        super().connection_lost(exc)

    def _begin(self) -> None:
        self._received = 0
        self._late = self.loop.call_later(
            self._shared.seconds, self._refuse, b"408 Request Timeout"
        )

    def _end(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _refuse(self, status: bytes) -> None:
        self._end()
        body = answers.error_body(status.decode()).encode()
        head = (
            b"content-type: application/json\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n" % len(body)
        )
        self.transport.write(b"HTTP/1.1 " + status + b"\r\n" + head + body)
        self.transport.close()
