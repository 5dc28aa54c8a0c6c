"""Bounds on connections, on what is no body, and on time, below the application."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import struct
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Bytes of address and headers together.
_LARGEST = 64 * 1024
# Bytes beside a body for each byte of it.
_OF_BODY = 8
# Bytes that are parsed at once: some dozens of requests in a row.
_PART = 4096
# Of a socket: that closing it drops what was not sent.
_RESET = struct.pack("ii", 1, 0)


@dataclasses.dataclass
class Connections:
    """What all connections of a server share.

    Attributes:
      seconds: For a head to arrive: from the connection, or the first byte after an
        answer, to the empty line behind the headers.
      open: Number of open connections.
    """

    seconds: float
    open: int = 0


class _HeldFlow(FlowControl):
    """Reads no more while it is held, whatever a request asks for.

    Attributes:
      held: Whether it is.
    """

    held = False

    def resume_reading(self) -> None:
        """Reads on."""
        if not self.held:
            super().resume_reading()


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's protocol; what is late or long ends its connection.

    uvicorn itself waits for ever for a head, and for an answer to be read, and keeps
    all of a head, of what stands behind a body, and of requests that come in a row
    before the first is answered: here only some dozens are parsed. A connection that
    sends nothing after an answer is uvicorn's own matter: it ends after five seconds.

    Args:
      shared: What all connections share.
      **uvicorn: What uvicorn hands over.
    """

    def __init__(self, shared: Connections, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._shared = shared
        self._late: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        # Bytes of a request that are its body, and that are not: the head, trailers,
        # and what says how long each part of a body is.
        self._body = self._other = self._fields = 0
        # The request that is being answered; more may wait behind it.
        self._answering: Any = None
        # Of a body that the parser leaves; `None` where it reads on.
        self._left: int | None = None
        # What has come and is not parsed.
        self._unparsed = bytearray()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock."""
        super().connection_made(transport)
        self.flow = self._flow = _HeldFlow(transport)
        self._shared.open += 1
        self._begin()

    def on_headers_complete(self) -> None:
        """Stops the clock."""
        self._end()
        super().on_headers_complete()
        if self.parser.should_upgrade() and self.cycle is not None:
            # It is answered over HTTP/1.1. The parser reads no more: not the body, and
            # no further request.
            self.cycle.keep_alive = False
            lengths = [int(v) for n, v in self.headers if n == b"content-length"]
            self._left = lengths[0] if lengths else 0

    def on_message_complete(self) -> None:
        """Waits for a body that the parser does not read."""
        if not self._left:
            super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        """Counts it."""
        self._body += len(body)
        self._other -= len(body)
        super().on_body(body)

    def data_received(self, data: bytes) -> None:
        """Parses it as far as its requests can be answered next."""
        self._unparsed += data
        self._parse()

    def _parse(self) -> None:
        while self._unparsed and not self.pipeline:
            part = bytes(self._unparsed[:_PART])
            del self._unparsed[:_PART]
            self._take(part)
            if self.transport.is_closing():
                self._unparsed.clear()
        self._flow.held = bool(self._unparsed)
        if self._flow.held:
            self.flow.pause_reading()

    def _take(self, data: bytes) -> None:
        """Counts what is no body."""
        self._other += len(data)
        if self.transport.is_closing():
            return
        try:
            self._feed(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._feed_body(data[upgrade.args[0] :])
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._late is None and not self.transport.is_closing():
            # Whatever it is, it has ended uvicorn's own clock.
            self._begin()
        # A body may come in parts of a byte, each with its length.
        if self._other > _LARGEST + _OF_BODY * self._body:
            self._refuse(b"431 Request Header Fields Too Large")

    def _feed(self, data: bytes) -> None:
        if self._left is not None:
            self._feed_body(data)
            return
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    def _feed_body(self, data: bytes) -> None:
        """Takes the body of a request whose upgrade is not offered."""
        if not self._left:
            return
        body = data[: self._left]
        self._left -= len(body)
        self.on_body(body)
        if not self._left:
            super().on_message_complete()

    def on_message_begin(self) -> None:
        """Counts anew: what is left of this portion of bytes is the next request's."""
        self._body, self._other, self._fields = 0, 0, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Counts what is kept of a head, and of trailers."""
        self._fields += len(name) + len(value)
        if self._fields <= _LARGEST:
            super().on_header(name, value)
        else:
            self._refuse(b"431 Request Header Fields Too Large")

    def pause_writing(self) -> None:
        """Watches whether the other side reads."""
        super().pause_writing()
        self._watch_reading()

    def on_response_complete(self) -> None:
        """Watches it for the end of an answer too, which nobody else waits for."""
        super().on_response_complete()
        self._watch_reading()
        if self._unparsed:
            self._parse()
            if not self._flow.held and not self.pipeline:
                self.flow.resume_reading()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _watch_reading(self) -> None:
        """Ends a connection that reads nothing of what it is sent for so long."""
        unread = self.transport.get_write_buffer_size()
        if unread and self._unread is None:
            self._unread = self.loop.call_later(
                self._shared.seconds, self._look_at_reading, unread
            )

    def _look_at_reading(self, before: int) -> None:
        self._unread = None
        if 0 < before <= self.transport.get_write_buffer_size():
            self._stop_answers()
            # Or the system keeps megabytes for whoever may read them one day.
            self.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _RESET
            )
            self.transport.abort()
        else:
            self._watch_reading()

    def _stop_answers(self) -> None:
        """Has what is still being answered write nothing to a connection that ends."""
        waiting = [cycle for cycle, _ in self.pipeline]
        for cycle in filter(None, (self._answering, self.cycle, *waiting)):
            cycle.disconnected = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clocks."""
        self._shared.open -= 1
        # uvicorn tells the last request's alone, and not those that wait before it.
        self._stop_answers()
        self._unparsed.clear()
        self._end()
        self._end_unread()
        super().connection_lost(exc)

    def _begin(self) -> None:
        self._late = self.loop.call_later(
            self._shared.seconds, self._refuse, b"408 Request Timeout"
        )

    def _end(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _end_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _refuse(self, status: bytes) -> None:
        self._end()
        if self.transport.is_closing():
            return
        body = json.dumps({"error": status.decode()}).encode()
        head = (
            b"content-type: application/json\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n" % len(body)
        )
        self.transport.write(b"HTTP/1.1 " + status + b"\r\n" + head + body)
        self._stop_answers()
        self.transport.close()
