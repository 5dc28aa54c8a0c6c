"""Ten minutes of everything at once against the local server.

    python -m benchmarks.soak --model_dir=models/digits_abe4 --photos=PHOTOS

Sixteen connections send right requests, wrong ones and files that keep a decoder busy;
beside them others are rude in each way of `benchmarks.rudeness`. Every answer to a
right request must be the one that it had at the start; one that the server has no room
for, as it says with status 503, is asked again. Every wrong and every rude one must be
refused with the status that belongs to it. Bodies and photos on their way make memory
go up and down: its median over the second half must be at most 5 % above that over the
first.
"""

from __future__ import annotations

import base64
import collections
import gzip
import json
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import requests
from absl import app, flags

from abe_tf.data import photos
from benchmarks import rudeness
from tests.helpers import attack_files
from tests.helpers.served import Served

_MODEL = flags.DEFINE_string("model_dir", None, "the model folder", required=True)
_PHOTOS = flags.DEFINE_string("photos", None, "a folder of photos", required=True)
_MINUTES = flags.DEFINE_float("minutes", 10, "how long")
_RUDE = flags.DEFINE_list("rude", [one.__name__ for one in rudeness.KINDS], "kinds")
_CONNECTIONS = flags.DEFINE_integer("connections", 16, "that send requests")
# Of memory, from half to half.
_GROWTH = 1.05
# Few enough that rude connections fill them, and are let go while they are watched.
_LIMITS = ("--max_connections=64", "--max_in_flight_mb=100", "--request_seconds=5")
# An answer that takes longer counts as none; a large file may hold up one batch.
_SECONDS = 60.0
# After so long a client opens a connection anew; the server waits for five.
_IDLE = 2.0


def _b64(content: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(content).decode()}


class Wrong(NamedTuple):
    """A request that must be refused, with the status that says so."""

    body: bytes
    status: int = 400
    headers: Mapping[str, str] = {}


def _wrong(right: bytes) -> Iterator[Wrong]:
    """Those; some are right but for their headers."""
    for body in (
        *(b"", b"{", b'{"instances": [[1.0]]}', b'{"instances": {"b64": "AAAA"}}'),
        *(b'{"inputs": {"b64": "AAAA"}}', b'{"instances": [NaN]}', b"\xff\xfe"),
        b'{"signature_name": "none", "instances": [1]}',
        b'{"instances": [' + b"[]," * 2000 + b"[]]}",
        b"[" * 100_000,
    ):
        yield Wrong(body)
    packed = {"Content-Encoding": "gzip"}
    rows = b'{"instances": [' + b"[]," * 5_000_000 + b"[]]}"
    yield Wrong(gzip.compress(rows), 413, packed)
    yield Wrong(gzip.compress(bytes(2**26)), 413, packed)
    yield Wrong(gzip.compress(right)[:-20], headers=packed)
    yield Wrong(right, 403, {"Host": "photos.example"})
    yield Wrong(right, 403, {"Origin": "http://photos.example"})
    for content in (
        *(b"no image", attack_files.jpeg()[:200], attack_files.filled_jpeg(63_000)),
        attack_files.jpeg_of_segments(20_000),
        attack_files.gif_of_comments(30_000),
        attack_files.gif_of_blocks(30_000),
        attack_files.jpeg_of_scans(7000, 400),
    ):
        yield Wrong(json.dumps({"instances": [_b64(content)]}).encode())


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
        self._right: list[tuple[bytes, np.ndarray]] = []
        for path in files:
            with open(path, "rb") as file:
                body = json.dumps({"instances": [_b64(file.read())]}).encode()
            answer = requests.post(f"{server.url}:predict", data=body, timeout=_SECONDS)
            self._right.append((body, np.array(answer.json()["predictions"])))
        self._wrong = list(_wrong(self._right[0][0]))

    def send(self, seed: int) -> None:
        """Right and wrong requests over one connection, until it is stopped."""
        rng, session, last = random.Random(seed), requests.Session(), time.monotonic()
        while not self.stopped.is_set():
            if time.monotonic() - last > _IDLE:
                # The server may have closed it meanwhile, as all do.
                session = requests.Session()
            if rng.random() < 0.8:
                self._send_right(session, *rng.choice(self._right))
            else:
                self._send_wrong(session, rng.choice(self._wrong))
            last = time.monotonic()

    def _post(
        self, session: requests.Session, body: bytes, headers: Mapping[str, str] = {}
    ) -> requests.Response | None:
        """The answer, once there is room for the request."""
        until = time.monotonic() + _SECONDS
        while True:
            try:
                answer = session.post(
                    f"{self._server.url}:predict",
                    data=body,
                    headers=headers,
                    timeout=_SECONDS,
                )
            except requests.RequestException as error:
                self._say(f"no answer: {error}")
                return None
            if answer.status_code != 503 or time.monotonic() > until:
                return answer
            self.counts["asked again"] += 1
            time.sleep(0.1)

    def _send_right(
        self, session: requests.Session, body: bytes, wanted: np.ndarray
    ) -> None:
        answer = self._post(session, body)
        if answer is None:
            return
        self.counts["right"] += 1
        if answer.status_code != 200:
            self._say(f"{answer.status_code} for a photo: {answer.text[:200]}")
        elif np.abs(np.array(answer.json()["predictions"]) - wanted).max() > 1e-4:
            self._say("another embedding for a photo")

    def _send_wrong(self, session: requests.Session, wrong: Wrong) -> None:
        answer = self._post(session, wrong.body, wrong.headers)
        if answer is None:
            return
        self.counts["wrong"] += 1
        if answer.status_code != wrong.status:
            text = f"{wrong.headers} {wrong.body[:80]!r}: {answer.text[:200]}"
            self._say(f"{answer.status_code} for {text}")

    def be_rude(self, kind: Callable[[rudeness.Rude], int | None]) -> None:
        """Connections of one kind of rudeness, one after the other."""
        rude = rudeness.Rude(self._server.port, self._right[0][0], self.stopped)
        while not self.stopped.is_set():
            try:
                status = kind(rude)
            except OSError as error:
                self._say(f"{kind.__name__}: {error}")
                continue
            if self.stopped.is_set():
                return
            self.counts[kind.__name__] += 1
            # Whoever else is rude may leave no room for it.
            if status != 503 and status not in rudeness.KINDS[kind]:
                self._say(f"{status} for {kind.__name__}")
            self.stopped.wait(0.5)

    def _say(self, text: str) -> None:
        self.wrong.append(text)
        print(f"WRONG: {text}", flush=True)


def main(_: list[str]) -> None:
    """Prints a line a minute, and at the end what was wrong."""
    found = photos.find(_PHOTOS.value).paths
    step = max(1, len(found) // 20)
    server = Served(_MODEL.value, *_LIMITS)
    soak = Soak(server, found[::step][:20])
    threads = [
        threading.Thread(target=soak.send, args=(seed,))
        for seed in range(_CONNECTIONS.value)
    ]
    threads += [
        threading.Thread(target=soak.be_rude, args=(getattr(rudeness, kind),))
        for kind in _RUDE.value
    ]
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
    half = (len(memory) + 1) // 2
    first, second = map(statistics.median, (memory[:half], memory[-half:]))
    print(
        f"{len(soak.wrong)} wrong or missing answers; memory: a median of {first:.0f} "
        f"MB, then of {second:.0f} MB; {max(memory):.0f} MB at most"
    )
    if soak.wrong or second > _GROWTH * first:
        raise SystemExit(1)


if __name__ == "__main__":
    app.run(main)
