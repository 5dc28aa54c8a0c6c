"""Connections that a server must not be harmed by: `benchmarks.soak` opens them.

Each kind is a function of a `Rude`, and tells the status of its answer: `None` where
the connection was closed without one. `KINDS` holds the statuses that belong to each.
"""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import struct
import threading

HEAD = b"POST /v1/models/abe:predict HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
# Above `--max_connections` of the soak's server.
_MANY = 80


@dataclasses.dataclass(frozen=True)
class Rude:
    """Where to connect, and with what.

    Attributes:
      port: Of the server on this machine.
      body: A request that would be answered.
      stopped: Set once all is over.
    """

    port: int
    body: bytes
    stopped: threading.Event

    def connect(self) -> socket.socket:
        """A connection of its own."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=40)

    def exchange(self, *parts: bytes, seconds: float = 0) -> int | None:
        """Sends all parts, so many seconds apart, and reads the status."""
        with self.connect() as one:
            # It may be answered, and closed, before all is sent.
            with contextlib.suppress(OSError):
                for part in parts:
                    one.sendall(part)
                    if seconds and self.stopped.wait(seconds):
                        return None
            return status_of(one)


def status_of(connection: socket.socket) -> int | None:
    """Status of an answer; `None` where the connection ends before one."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while len(received) < 12 and (part := connection.recv(1000)):
            received += part
    return int(received[9:12]) if received.startswith(b"HTTP/1.1 ") else None


def _post(body: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def slow_head(rude: Rude) -> int | None:
    """A head byte by byte."""
    return rude.exchange(*(bytes([byte]) for byte in HEAD[:-2]), seconds=0.5)


def slow_body(rude: Rude) -> int | None:
    """A body byte by byte."""
    begun = HEAD + b"Content-Length: 1000\r\n\r\n{"
    return rude.exchange(begun, *[b" "] * 60, seconds=0.5)


def _fields() -> list[bytes]:
    return [b"x-%d: " % number + b"a" * 50_000 + b"\r\n" for number in range(200)]


def endless_head(rude: Rude) -> int | None:
    """Headers of 10 MB."""
    return rude.exchange(HEAD, *_fields())


def endless_trailers(rude: Rude) -> int | None:
    """Headers of 10 MB behind a body."""
    return rude.exchange(CHUNKED + b"2\r\n{}\r\n0\r\n", *_fields())


def chunk_extensions(rude: Rude) -> int | None:
    """A body whose parts of one byte each say much about themselves."""
    return rude.exchange(CHUNKED, *[b"1;" + b"a" * 10_000 + b"\r\n \r\n"] * 1000)


def large_body(rude: Rude) -> int | None:
    """A body of 60 MB that does not say so before."""
    return rude.exchange(CHUNKED, *[b"100000\r\n" + b" " * 2**20 + b"\r\n"] * 60)


def told_large(rude: Rude) -> int | None:
    """A body that says that it has 10 GB."""
    return rude.exchange(HEAD + b"Content-Length: 10000000000\r\n\r\n{")


def many_bodies(rude: Rude) -> int | None:
    """More bytes on their way than all requests together may have."""
    with contextlib.ExitStack() as stack:
        all_of_them = [stack.enter_context(rude.connect()) for _ in range(8)]
        with contextlib.suppress(OSError):
            for one in all_of_them:
                one.sendall(HEAD + b"Content-Length: 30000000\r\n\r\n" + b" " * 2**24)
        statuses = {status_of(one) for one in all_of_them}
    return 503 if 503 in statuses else statuses.pop()


def many_connections(rude: Rude) -> int | None:
    """More connections than there may be."""
    with contextlib.ExitStack() as stack:
        for _ in range(_MANY):
            stack.enter_context(rude.connect())
        return rude.exchange(_post(rude.body))


def unread_states(rude: Rude) -> int | None:
    """Requests one behind the other, whose answers nobody reads."""
    asked = b"GET /v1/models/abe/metadata HTTP/1.1\r\nHost: localhost\r\n\r\n"
    return _until_closed(rude, asked * 100)


def unread_embeddings(rude: Rude) -> int | None:
    """The same with photos."""
    return _until_closed(rude, _post(rude.body))


def _until_closed(rude: Rude, asked: bytes) -> None:
    """Sends it on until the server ends the connection, as it must."""
    with rude.connect() as one:
        one.settimeout(1)
        while not rude.stopped.is_set():
            try:
                one.sendall(asked)
            except TimeoutError:
                continue
            except OSError:
                return


def hang_up(rude: Rude) -> int | None:
    """A request whose sender is gone."""
    with rude.connect() as one:
        one.sendall(_post(rude.body))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return None


def half_a_request(rude: Rude) -> int | None:
    """A body that ends in the middle."""
    with rude.connect() as one:
        one.sendall(HEAD + b"Content-Length: 5000\r\n\r\n" + b"{" * 2500)
    return None


def upgrade(rude: Rude) -> int | None:
    """A request that offers another protocol."""
    offered = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    return rude.exchange(HEAD + offered + b"Content-Length: 2\r\n\r\n{}")


def no_http(rude: Rude) -> int | None:
    """Bytes of another protocol."""
    return rude.exchange(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 50)


# What may come, by kind, beside 503. A server that closes while bytes are still coming
# may have its answer lost on the way, `None` too; where two cores are busy, much may
# come too late.
KINDS = {
    slow_head: {408},
    slow_body: {408},
    endless_head: {431, None},
    endless_trailers: {431, None},
    chunk_extensions: {431, None},
    large_body: {413, 408, None},
    told_large: {413},
    many_bodies: {408, None},
    many_connections: {None},
    unread_states: {None},
    unread_embeddings: {None},
    hang_up: {None},
    half_a_request: {None},
    upgrade: {400},
    no_http: {400},
}
