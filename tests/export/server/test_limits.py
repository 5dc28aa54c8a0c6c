"""What the local server bears: large, slow, broken and many requests, new versions."""

import concurrent.futures
import contextlib
import gzip
import json
import random
import shutil
import socket
import threading
import time

import pytest
import requests

from export.publish import serving_files
from export.server import versions
from tests.export.server import contract_model
from tests.export.server.test_contract import RED, post
from tests.helpers.served import Served


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
    packed = gzip.compress(b" " * 300_000_000)
    answer = post(served.url, packed, headers={"content-encoding": "gzip"})
    assert answer.status_code == 413


def test_too_many_rows_are_refused(served):
    answer = post(served.url, {"instances": [RED] * 300})
    assert answer.status_code == 400
    assert "at most 256 rows" in answer.json()["error"]


def senders(server, count, sent):
    """Connections that send this much, and then nothing."""
    found = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", server.port))
        one.sendall(sent)
        found.append(one)
    return found


def test_slow_senders_are_let_go_and_hold_up_nobody(contract_folder):
    server = Served(contract_folder, "--request_seconds=2", name="contract")
    try:
        head = b"POST /v1/models/contract:predict HTTP/1.1\r\nHost: localhost\r\n"
        slow = senders(server, 20, head + b"Content-Length: 1000\r\n\r\n{")
        start = time.monotonic()
        assert post(server.url, {"instances": [RED]}).status_code == 200
        assert time.monotonic() - start < 2
        for one in slow:
            one.settimeout(20)
            assert one.recv(100).startswith(b"HTTP/1.1 408")
            one.close()
    finally:
        server.stop()


def rest_of(connection):
    """What comes until the server closes it."""
    connection.settimeout(10)
    received = b""
    with connection, contextlib.suppress(ConnectionError):
        while part := connection.recv(1000):
            received += part
    return received


@pytest.mark.parametrize("sent", [b"", b"POST /v1/models/contract:predict HTT"])
def test_slow_heads_are_let_go_and_hold_up_nobody(contract_folder, sent):
    server = Served(
        contract_folder, "--request_seconds=1", "--max_connections=20", name="contract"
    )
    try:
        slow = senders(server, 15, sent)
        assert post(server.url, {"instances": [RED]}).status_code == 200
        for one in slow:
            assert rest_of(one).startswith(b"HTTP/1.1 408")
    finally:
        server.stop()


@pytest.mark.parametrize("next_bytes", [b"GET /v1/mod", b"\r\n"])
def test_the_head_of_a_second_request_is_timed_too(contract_folder, next_bytes):
    server = Served(contract_folder, "--request_seconds=1", name="contract")
    try:
        with socket.create_connection(("127.0.0.1", server.port)) as one:
            one.settimeout(10)
            whole = b"GET /v1/models/contract HTTP/1.1\r\nHost: localhost\r\n\r\n"
            one.sendall(whole)
            answer = b""
            while not answer.rstrip().endswith(b"}"):
                answer += one.recv(1000)
            one.sendall(next_bytes)
            assert rest_of(one).startswith(b"HTTP/1.1 408")
    finally:
        server.stop()


def test_a_body_that_nobody_reads_holds_no_connection(contract_folder):
    server = Served(
        *(contract_folder, "--request_seconds=1", "--max_connections=20"),
        name="contract",
    )
    try:
        head = b"POST /nope HTTP/1.1\r\nHost: localhost\r\n"
        slow = senders(server, 15, head + b"Content-Length: 1000000\r\n\r\nx")
        for one in slow:
            assert rest_of(one).startswith(b"HTTP/1.1 400")
        assert post(server.url, {"instances": [RED]}).status_code == 200
    finally:
        server.stop()


def test_more_connections_than_allowed_are_told(contract_folder):
    server = Served(contract_folder, "--max_connections=5", name="contract")
    try:
        idle = senders(server, 5, b"")
        answer = post(server.url, {"instances": [RED]})
        assert answer.status_code == 503
        assert "5 connections already" in answer.json()["error"]
        for one in idle:
            one.close()
        assert post(server.url, {"instances": [RED]}).status_code == 200
    finally:
        server.stop()


def test_half_a_packed_body_is_refused(served):
    packed = gzip.compress(json.dumps({"instances": [RED]}).encode())[:-20]
    answer = post(served.url, packed, headers={"content-encoding": "gzip"})
    assert answer.status_code == 400
    assert "Unable to decompress" in answer.json()["error"]


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
            try:
                # A version that is not complete is not looked at.
                (tmp_path / "incomplete-x").mkdir()
                contract_model.write(str(tmp_path), 2)
                wait_for(server, ["2"])
            finally:
                stopped.set()
            answered = [code for one in asking for code in one.result()]
        assert set(answered) == {200}
        assert len(answered) > 20
    finally:
        server.stop()


def wait_for(server, versions):
    for _ in range(100):
        found = requests.get(server.url, timeout=30).json()["model_version_status"]
        if sorted(one["version"] for one in found) == versions:
            return
        time.sleep(0.2)
    pytest.fail(f"{versions} did not come: {found}")


def test_a_version_that_does_not_load_changes_nothing_and_is_tried_again(
    contract_folder, tmp_path
):
    shutil.copytree(contract_folder / "1", tmp_path / "1")
    server = Served(tmp_path, "--load_retry_seconds=0.5", name="contract")
    try:
        (tmp_path / "2").mkdir()
        time.sleep(2)
        assert post(server.url, {"instances": [RED]}).status_code == 200
        # Half-copied before, whole now.
        shutil.copytree(contract_folder / "1", tmp_path / "2", dirs_exist_ok=True)
        wait_for(server, ["2"])
    finally:
        server.stop()


def test_a_folder_that_is_away_for_a_moment_comes_back(contract_folder, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copytree(contract_folder / "1", folder / "1")
    server = Served(folder, name="contract")
    try:
        folder.rename(tmp_path / "away")
        time.sleep(2.5)
        assert post(server.url, {"instances": [RED]}).status_code == 200
        (tmp_path / "away").rename(folder)
        contract_model.write(str(folder), 2)
        wait_for(server, ["2"])
    finally:
        server.stop()


def test_one_version_that_cannot_be_loaded_costs_no_other(contract_folder, monkeypatch):
    """Loading itself is stood in for: this process holds Python TensorFlow."""

    class Loaded:
        def __init__(self, path, most, seconds):
            if path.endswith("1"):
                raise RuntimeError("nobody foresaw it")
            self.batcher = self

        def is_working(self):
            return True

    monkeypatch.setattr(versions, "Version", Loaded)
    assert {"1", "2"} <= {path.name for path in contract_folder.iterdir()}
    watched = versions.Versions(str(contract_folder), "contract", 4, 60.0, 30.0)
    watched.refresh()
    states = watched.states(None, None)
    assert (states[1].name, states[1].code) == ("END", 13)
    assert states[2].name == "AVAILABLE"
    assert "nobody foresaw it" in states[1].message
    # One whose thread has ended answers nobody any more.
    monkeypatch.setattr(Loaded, "is_working", lambda self: False)
    ended = watched.states(None, None)[2]
    assert (ended.name, ended.code) == ("END", 13)


def test_whatever_a_look_at_the_folder_raises_the_next_one_comes(monkeypatch, capsys):
    class OverError(Exception):
        pass

    looks = iter([RuntimeError("nobody foresaw it"), MemoryError("none left"), None])
    slept = []

    def refresh():
        found = next(looks)
        if found is not None:
            raise found

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            raise OverError

    watched = versions.Versions("folder", "contract", 4, 60.0, 30.0)
    monkeypatch.setattr(watched, "refresh", refresh)
    monkeypatch.setattr(versions.time, "sleep", sleep)
    with pytest.raises(OverError):
        watched.watch(5)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert "nobody foresaw it" in told[0]
    assert "none left" in told[1]
    assert slept == [5, 5, 5]


def test_a_label_moves_once_its_version_is_loaded(contract_folder, tmp_path):
    """As in TensorFlow Serving, which refuses a file that names one before."""
    for version in (1, 2):
        shutil.copytree(contract_folder / str(version), tmp_path / str(version))

    def label(versions):
        text = serving_files.models_config(versions, "contract")
        (tmp_path / "models.config").write_text(text)

    def labelled():
        address = f"{server.url}/labels/canary/metadata"
        return requests.get(address, timeout=30).json()["model_spec"]["version"]

    label([1, 2])
    server = Served(tmp_path, "--load_retry_seconds=0.5", name="contract")
    try:
        assert labelled() == "2"
        (tmp_path / "3").mkdir()
        label([1, 2, 3])
        time.sleep(2.5)
        assert labelled() == "2"
        shutil.copytree(contract_folder / "1", tmp_path / "3", dirs_exist_ok=True)
        wait_for(server, ["1", "2", "3"])
        time.sleep(1.5)
        assert labelled() == "3"
        # A file by hand.
        (tmp_path / "models.config").write_text(
            'model_config_list { config { name: "contract" '
            "model_version_policy { specific { versions: 1 versions: 3 } } } }"
        )
        wait_for(server, ["1", "3"])
    finally:
        server.stop()
