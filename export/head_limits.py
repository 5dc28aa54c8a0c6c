"""Bounds on the head of a request, before an application hears of it."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Bytes of address and headers together.
_LARGEST = 64 * 1024


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's protocol; a head that is late or long ends its connection.

    uvicorn itself waits for ever for a head, and keeps all of it. A connection that
    sends nothing after an answer is uvicorn's own matter: it ends after five seconds.

    Args:
      seconds: From the connection, or the first byte of a later request, until the
        empty line behind the headers.
      **uvicorn: What uvicorn hands over.
    """

    def __init__(self, seconds: float, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._seconds = seconds
        self._late: asyncio.TimerHandle | None = None
        self._received = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock."""
        super().connection_made(transport)
        self._begin()

    def on_message_begin(self) -> None:
        """Starts the clock, where the connection has not."""
        super().on_message_begin()
        if self._late is None:
            self._begin()

    def on_headers_complete(self) -> None:
        """Stops the clock."""
        self._end()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Counts what belongs to a head."""
        super().data_received(data)
        if self._late is not None:
            self._received += len(data)
            if self._received > _LARGEST:
                self._refuse(b"431 Request Header Fields Too Large")

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        self._end()
        super().connection_lost(exc)

    def _begin(self) -> None:
        self._received = 0
        self._late = self.loop.call_later(
            self._seconds, self._refuse, b"408 Request Timeout"
        )

    def _end(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _refuse(self, status: bytes) -> None:
        self._end()
        head = b"content-length: 0\r\nconnection: close\r\n\r\n"
        self.transport.write(b"HTTP/1.1 " + status + b"\r\n" + head)
        self.transport.close()
