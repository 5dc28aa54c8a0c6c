"""What the local server bears: large, slow, broken and many requests, new versions."""

import concurrent.futures
import contextlib
import json
import random
import shutil
import socket
import threading
import time

import pytest
import requests

from benchmarks.served import Served
from tests.serving import contract_model
from tests.serving.test_contract import RED, post


def test_it_says_what_it_is(served):
    assert "stands in for TensorFlow Serving" in served.first_line


def test_a_body_of_100_megabytes_is_refused_and_costs_no_memory(served):
    before = served.memory()
    answer = post(served.url, b"[" * 100_000_000)
    assert answer.status_code == 413
    # Without its length said before, it is cut off while it is sent.
    parts = (b"[" * 1_000_000 for _ in range(100))
    try:
        refused = requests.post(f"{served.url}:predict", data=parts, timeout=60)
    except requests.ConnectionError:
        refused = None
    assert refused is None or refused.status_code == 413
    assert served.memory() < before + 150
    assert post(served.url, {"instances": [RED]}).status_code == 200


def test_a_small_file_that_unpacks_to_much_is_refused(served):
    import gzip

    packed = gzip.compress(b" " * 300_000_000)
    answer = post(served.url, packed, headers={"content-encoding": "gzip"})
    assert answer.status_code == 413


def test_too_many_rows_are_refused(served):
    answer = post(served.url, {"instances": [RED] * 300})
    assert answer.status_code == 400
    assert "at most 256 rows" in answer.json()["error"]


def test_slow_senders_are_let_go_and_hold_up_nobody(contract_folder):
    server = Served(contract_folder, "--request_seconds=2", name="contract")
    try:
        slow = []
        for _ in range(20):
            one = socket.create_connection(("127.0.0.1", server.port))
            head = b"POST /v1/models/contract:predict HTTP/1.1\r\nHost: x\r\n"
            one.sendall(head + b"Content-Length: 1000\r\n\r\n{")
            slow.append(one)
        start = time.monotonic()
        assert post(server.url, {"instances": [RED]}).status_code == 200
        assert time.monotonic() - start < 2
        for one in slow:
            one.settimeout(20)
            assert one.recv(100).startswith(b"HTTP/1.1 408")
            one.close()
    finally:
        server.stop()


@pytest.mark.parametrize("sent", [b"", b"POST /v1/models/contract:predict HTT"])
def test_slow_heads_are_let_go_and_hold_up_nobody(contract_folder, sent):
    server = Served(
        contract_folder, "--request_seconds=1", "--max_connections=20", name="contract"
    )
    try:
        slow = []
        for _ in range(15):
            one = socket.create_connection(("127.0.0.1", server.port))
            one.sendall(sent)
            slow.append(one)
        assert post(server.url, {"instances": [RED]}).status_code == 200
        for one in slow:
            one.settimeout(10)
            assert one.recv(100).startswith(b"HTTP/1.1 408")
            assert one.recv(100) == b""
            one.close()
    finally:
        server.stop()


def test_the_head_of_a_second_request_is_timed_too(contract_folder):
    server = Served(contract_folder, "--request_seconds=1", name="contract")
    try:
        with socket.create_connection(("127.0.0.1", server.port)) as one:
            one.settimeout(10)
            whole = b"GET /v1/models/contract HTTP/1.1\r\nHost: x\r\n\r\n"
            one.sendall(whole + whole[:10])
            received = b""
            while part := one.recv(1000):
                received += part
        assert received.startswith(b"HTTP/1.1 200")
        assert received.count(b"HTTP/1.1 408") == 1
    finally:
        server.stop()


def test_a_head_without_an_end_is_refused_and_costs_no_memory(served):
    before = served.memory()
    with socket.create_connection(("127.0.0.1", served.port)) as one:
        one.settimeout(10)
        one.sendall(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            for number in range(1000):
                one.sendall(b"x-%d: " % number + b"a" * 100_000 + b"\r\n")
        with contextlib.suppress(ConnectionError):
            assert one.recv(100).startswith(b"HTTP/1.1 431")
    assert served.memory() < before + 20
    assert post(served.url, {"instances": [RED]}).status_code == 200


def broken_requests(count):
    """Bodies that were right once, with some of their bytes changed."""
    rng = random.Random(0)
    whole = [
        json.dumps({"instances": [RED]}).encode(),
        json.dumps({"signature_name": "two", "inputs": {"a": [1], "b": [2]}}).encode(),
        json.dumps({"signature_name": "echo", "instances": [[1.0, 2.0]]}).encode(),
        json.dumps({"signature_name": "texts", "instances": ["a"]}).encode(),
    ]
    pieces = [b"[", b"]", b"{", b"}", b'"', b",", b":", b"null", b"1e999", b"\\u0000"]
    for _ in range(count):
        body = bytearray(rng.choice(whole))
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(body))
            kind = rng.randrange(3)
            if kind == 0:
                body[place] = rng.randrange(256)
            elif kind == 1:
                del body[place : place + rng.randint(1, 20)]
            else:
                body[place:place] = rng.choice(pieces) * rng.choice((1, 1, 500))
            body = body or bytearray(b"x")
        yield bytes(body)


def test_broken_requests_never_make_it_fail(served):
    session = threading.local()

    def send(body):
        if not hasattr(session, "it"):
            session.it = requests.Session()
        return session.it.post(f"{served.url}:predict", data=body, timeout=30)

    def codes(count):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            return {a.status_code for a in pool.map(send, broken_requests(count))}

    codes(300)
    before = served.memory()
    assert codes(2000) <= {200, 400, 404, 413}
    assert served.memory() < before + 50
    assert post(served.url, {"instances": [RED]}).status_code == 200


def test_a_new_version_takes_over_without_a_lost_request(contract_folder, tmp_path):
    shutil.copytree(contract_folder / "1", tmp_path / "1")
    server = Served(tmp_path, name="contract")
    stopped = threading.Event()

    def ask_without_end():
        session, found = requests.Session(), []
        while not stopped.is_set():
            answer = session.post(
                f"{server.url}:predict", json={"instances": [RED]}, timeout=30
            )
            found.append(answer.status_code)
        return found

    try:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask_without_end) for _ in range(4)]
            # A version that is not complete is not looked at.
            (tmp_path / "incomplete-x").mkdir()
            contract_model.write(str(tmp_path), 2)
            for _ in range(100):
                state = requests.get(server.url, timeout=30).json()
                if [v["version"] for v in state["model_version_status"]] == ["2"]:
                    break
                time.sleep(0.2)
            else:
                pytest.fail("Version 2 did not take over.")
            stopped.set()
            answered = [code for one in asking for code in one.result()]
        assert set(answered) == {200}
        assert len(answered) > 20
        # One that does not load changes nothing.
        (tmp_path / "3").mkdir()
        time.sleep(3)
        assert post(server.url, {"instances": [RED]}).status_code == 200
    finally:
        stopped.set()
        server.stop()
