"""Ten minutes of everything at once against the local server.

    python -m benchmarks.soak --model_dir=models/digits_abe4 --photos=PHOTOS

Sixteen connections send right requests, wrong ones and files that keep a decoder busy;
beside them others are rude: slow heads, slow bodies, heads and trailers without an
end, bodies that are too large, requests whose answers nobody reads, hang-ups in the
middle. Every answer to a right request must be the one that it had at the start, every
wrong one must be refused with the status that belongs to it, and memory must stay as it
is after the first minute.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import json
import random
import socket
import struct
import threading
import time

import numpy as np
import requests
from absl import app, flags

from abe_tf.data import photos
from tests.helpers import attack_files
from tests.helpers.served import Served

_MODEL = flags.DEFINE_string("model_dir", None, "the model folder", required=True)
_PHOTOS = flags.DEFINE_string("photos", None, "a folder of photos", required=True)
_MINUTES = flags.DEFINE_float("minutes", 10, "how long")
_CONNECTIONS = flags.DEFINE_integer("connections", 16, "that send requests")
_HEAD = b"POST /v1/models/abe:predict HTTP/1.1\r\nHost: localhost\r\n"
# An answer that takes longer counts as none; a large file may hold up one batch.
_SECONDS = 60.0
# After so long a client opens a connection anew; the server waits for five.
_IDLE = 2.0


def _b64(content: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(content).decode()}


def _wrong() -> list[tuple[bytes, tuple[int, ...]]]:
    """Requests that must be refused, with the statuses that say so."""
    found: list[tuple[bytes, tuple[int, ...]]] = [
        (b"", (400,)),
        (b"{", (400,)),
        (b'{"instances": [[1.0]]}', (400,)),
        (b'{"instances": {"b64": "AAAA"}}', (400,)),
        (b'{"signature_name": "none", "instances": [1]}', (400,)),
        (b'{"instances": [' + b"[]," * 2000 + b"[]]}", (400,)),
    ]
    for content in (
        *(b"no image", attack_files.jpeg()[:200], attack_files.filled_jpeg(63_000)),
        attack_files.jpeg_of_segments(20_000),
        attack_files.gif_of_comments(30_000),
        attack_files.gif_of_blocks(30_000),
        attack_files.jpeg_of_scans(7000, 400),
    ):
        found.append((json.dumps({"instances": [_b64(content)]}).encode(), (400,)))
    return found


class Soak:
    """The server, what it must answer, and what it has answered.

    Args:
      server: The server.
      files: Photos.
    """

    def __init__(self, server: Served, files: list[str]) -> None:
        self._server, self.stopped = server, threading.Event()
        self.counts: collections.Counter[str] = collections.Counter()
        self.wrong: list[str] = []
        self._wrong, self._right = _wrong(), []
        for path in files:
            with open(path, "rb") as file:
                body = json.dumps({"instances": [_b64(file.read())]}).encode()
            answer = requests.post(f"{server.url}:predict", data=body, timeout=_SECONDS)
            self._right.append((body, np.array(answer.json()["predictions"])))

    def send(self, seed: int) -> None:
        """Right and wrong requests over one connection, until it is stopped."""
        rng, session, last = random.Random(seed), requests.Session(), time.monotonic()
        while not self.stopped.is_set():
            if time.monotonic() - last > _IDLE:
                # The server may have closed it meanwhile, as all do.
                session = requests.Session()
            right = rng.random() < 0.8
            body, wanted = rng.choice(self._right if right else self._wrong)  # type: ignore[arg-type]
            try:
                answer = session.post(
                    f"{self._server.url}:predict", data=body, timeout=_SECONDS
                )
            except requests.RequestException as error:
                self._say(f"no answer: {error}")
                continue
            finally:
                last = time.monotonic()
            self.counts["right" if right else "wrong"] += 1
            if right:
                self._check(answer, wanted)
            elif answer.status_code not in wanted:
                self._say(
                    f"{answer.status_code} for {body[:80]!r}: {answer.text[:200]}"
                )

    def _check(self, answer: requests.Response, wanted: np.ndarray) -> None:
        if answer.status_code != 200:
            self._say(f"{answer.status_code} for a photo: {answer.text[:200]}")
        elif np.abs(np.array(answer.json()["predictions"]) - wanted).max() > 1e-4:
            self._say("another embedding for a photo")

    def be_rude(self, kind: str) -> None:
        """Connections of one kind of rudeness, one after the other."""
        while not self.stopped.is_set():
            with contextlib.suppress(OSError):
                getattr(self, f"_{kind}")()
            self.counts[kind] += 1
            self.stopped.wait(0.5)

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._server.port), timeout=40)

    def _slow_head(self) -> None:
        with self._connect() as one:
            for byte in _HEAD[:-2]:
                one.sendall(bytes([byte]))
                if self.stopped.wait(0.5):
                    return

    def _slow_body(self) -> None:
        with self._connect() as one:
            one.sendall(_HEAD + b"Content-Length: 1000\r\n\r\n{")
            while not self.stopped.wait(1):
                one.sendall(b" ")

    def _endless_head(self) -> None:
        with self._connect() as one:
            one.sendall(_HEAD)
            for number in range(200):
                one.sendall(b"x-%d: " % number + b"a" * 50_000 + b"\r\n")

    def _endless_trailers(self) -> None:
        with self._connect() as one:
            one.sendall(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
            for number in range(200):
                one.sendall(b"x-%d: " % number + b"a" * 50_000 + b"\r\n")

    def _large_body(self) -> None:
        with self._connect() as one:
            one.sendall(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(60):
                one.sendall(b"100000\r\n" + b" " * 2**20 + b"\r\n")

    def _unread(self) -> None:
        with self._connect() as one:
            asked = b"GET /v1/models/abe/metadata HTTP/1.1\r\nHost: localhost\r\n\r\n"
            one.settimeout(1)
            with contextlib.suppress(TimeoutError):
                while not self.stopped.is_set():
                    one.sendall(asked * 100)
            self.stopped.wait(20)

    def _hang_up(self) -> None:
        body = self._right[0][0]
        with self._connect() as one:
            one.sendall(_HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _half_a_request(self) -> None:
        with self._connect() as one:
            one.sendall(_HEAD + b"Content-Length: 5000\r\n\r\n" + b"{" * 2500)

    def _upgrade(self) -> None:
        with self._connect() as one:
            one.sendall(
                _HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
                b"Content-Length: 2\r\n\r\n{}"
            )
            one.recv(1000)

    def _say(self, text: str) -> None:
        self.wrong.append(text)
        print(f"WRONG: {text}", flush=True)


RUDE = (
    *("slow_head", "slow_body", "endless_head", "endless_trailers", "large_body"),
    *("unread", "hang_up", "half_a_request", "upgrade"),
)


def main(_: list[str]) -> None:
    """Prints a line a minute, and at the end what was wrong."""
    found = photos.find(_PHOTOS.value).paths
    step = max(1, len(found) // 20)
    server = Served(_MODEL.value)
    soak = Soak(server, found[::step][:20])
    threads = [
        threading.Thread(target=soak.send, args=(seed,))
        for seed in range(_CONNECTIONS.value)
    ]
    threads += [threading.Thread(target=soak.be_rude, args=(kind,)) for kind in RUDE]
    memory = []
    try:
        for thread in threads:
            thread.start()
        for minute in range(round(_MINUTES.value)):
            time.sleep(60)
            memory.append(server.memory())
            print(
                f"minute {minute + 1}: {memory[-1]:.0f} MB, {dict(soak.counts)}",
                flush=True,
            )
    finally:
        soak.stopped.set()
        for thread in threads:
            thread.join()
        server.stop()
    print(
        f"{len(soak.wrong)} wrong or missing answers; memory {memory[0]:.0f} MB after "
        f"the first minute, {max(memory):.0f} MB at most, {memory[-1]:.0f} MB at last"
    )
    if soak.wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    app.run(main)
