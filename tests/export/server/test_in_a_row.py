"""Requests of one connection that are sent before the first one is answered."""

import concurrent.futures
import itertools
import json
import socket

from tests.export.server.test_contract import RED, post

_HEAD = b"%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
_STATE = b"GET /v1/models/contract HTTP/1.1\r\nHost: localhost\r\n\r\n"


def bodies(connection):
    """Bodies of all answers, in their order."""
    with connection.makefile("rb") as file:
        while line := file.readline():
            assert line.startswith(b"HTTP/1.1 200")
            length = 0
            while (header := file.readline()) != b"\r\n":
                name, _, value = header.partition(b":")
                length = int(value) if name == b"content-length" else length
            yield file.read(length)


def test_they_are_answered_in_their_order(served):
    """Longer than what is parsed at once, shorter, and cut anywhere."""
    counts = [1, 150, 2, 1, 90, 3]
    sent = b""
    for count in counts:
        body = json.dumps({"instances": [RED] * count}).encode()
        sent += _HEAD % (b"POST /v1/models/contract:predict", len(body)) + body
        sent += _STATE
    with socket.create_connection(("127.0.0.1", served.port), 60) as one:
        for first in range(0, len(sent), 3001):
            one.sendall(sent[first : first + 3001])
        answers = [
            json.loads(body) for body in itertools.islice(bodies(one), 2 * len(counts))
        ]
    alone = post(served.url, {"instances": [RED]}).json()["predictions"]
    assert [answer["predictions"] for answer in answers[::2]] == [
        alone * count for count in counts
    ]
    states = [answer["model_version_status"][0]["state"] for answer in answers[1::2]]
    assert states == ["AVAILABLE"] * len(counts)


def test_thousands_are_answered_and_cost_no_memory(served):
    """Each kept as an object of its own, they took gigabytes."""
    count, before = 20_000, served.memory()
    with (
        concurrent.futures.ThreadPoolExecutor(1) as pool,
        socket.create_connection(("127.0.0.1", served.port), 60) as one,
    ):
        sending = pool.submit(one.sendall, _STATE * count)
        answers = bodies(one)
        first = [next(answers) for _ in range(1000)]
        assert served.memory() < before + 20
        assert post(served.url, {"instances": [RED]}).status_code == 200
        rest = itertools.islice(answers, count - len(first))
        assert {*first, *rest} == {first[0]}
        sending.result()
    assert b"AVAILABLE" in first[0]
