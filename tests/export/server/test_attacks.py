"""Small requests that kept everybody waiting, alone and beside good ones."""

import base64
import concurrent.futures
import contextlib
import gzip
import json
import threading
import time

import numpy as np
import pytest
import requests

from tests.export.server.test_contract import RED
from tests.helpers import attack_files
from tests.helpers.served import Served

# Of an answer, whatever it is: ten times what it takes on two cores, since machines
# differ. Before they were refused, some of these took half a minute and more.
SECONDS = 20.0
# What is read and does little harm; all others are refused.
READ = (
    *("tags", "scans, as many as are read", "scans without an end"),
    "chunks, as many as are read",
)
FILES = {
    "filling": attack_files.filled_jpeg(63_000),
    "filling, a megabyte": attack_files.filled_jpeg(1_000_000),
    "segments": attack_files.jpeg_of_segments(200_000),
    "tags": attack_files.jpeg_of_tags(65_535),
    "scans": attack_files.jpeg_of_scans(7000, 400),
    "scans, as many as are read": attack_files.jpeg_of_scans(7000, 115),
    "scans without an end": attack_files.jpeg_of_scans(7000, 115)[:-2],
    "marks of scans": attack_files.jpeg()[:-2] + b"\xff\xda" * 1_000_000,
    "chunks": attack_files.png_of_chunks(150_000),
    "chunks, as many as are read": attack_files.png_of_chunks(19_900),
    "comments": attack_files.gif_of_comments(1_000_000),
    "blocks": attack_files.gif_of_blocks(1_000_000),
}


@pytest.fixture(scope="module")
def attacked(exported):
    """A server of a real export, whose graph decodes."""
    server = Served(exported[0])
    yield server
    server.stop()


def post(url, body, **options):
    start = time.monotonic()
    answer = requests.post(f"{url}:predict", data=body, timeout=60, **options)
    return answer.status_code, time.monotonic() - start


def of_file(content):
    text = base64.b64encode(content).decode()
    return json.dumps({"instances": [{"b64": text}]})


@contextlib.contextmanager
def good_requests_beside(url, body):
    """Asks on and on meanwhile; every answer must come, and in time.

    Whoever enters has two clients beside, each of which has an answer already and
    asks once more at least, and a third one that asks for the state.
    """
    stopped, answers = threading.Event(), []
    started = threading.Barrier(4)

    def ask():
        answers.append(post(url, body))
        started.wait(60)
        answers.append(post(url, body))
        while not stopped.is_set():
            answers.append(post(url, body))

    def ask_state():
        started.wait(60)
        while not stopped.is_set():
            start = time.monotonic()
            status = requests.get(url, timeout=60).status_code
            answers.append((status, time.monotonic() - start))
            stopped.wait(0.1)

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(one) for one in (ask, ask, ask_state)]
        try:
            started.wait(60)
            yield
        finally:
            stopped.set()
        for one in asking:
            one.result()
    assert {status for status, _ in answers} == {200}
    assert max(seconds for _, seconds in answers) < SECONDS


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_keeps_a_decoder_busy(attacked, kind):
    good, bad = of_file(attack_files.jpeg()), of_file(FILES[kind])
    assert post(attacked.url, good)[0] == 200
    status, seconds = post(attacked.url, bad)
    refused = (200, 400) if kind in READ else (400,)
    assert status in refused
    assert seconds < SECONDS
    with good_requests_beside(attacked.url, good):
        status, seconds = post(attacked.url, bad)
        assert status in refused
        assert seconds < SECONDS
    assert post(attacked.url, good)[0] == 200


def packed(text, count, end):
    head = b'{"signature_name": "echo", "instances": ['
    return gzip.compress(head + text * count + end + b"]}")


PACKED = {
    "rows of nothing": packed(b"[],", 11_000_000, b"[]"),
    "rows of nothing, as many as are parsed": packed(b"[],", 900_000, b"[]"),
    "objects": packed(b"{},", 8_000_000, b"{}"),
    "one row of numbers": packed(b"[" + b"1," * 7_900_000 + b"1]", 1, b""),
    "numbers": packed(b"1,", 16_000_000, b"1"),
    "numbers, as many as are parsed": packed(b"1,", 7_900_000, b"1"),
}


@pytest.mark.parametrize("kind", PACKED)
def test_a_small_body_that_holds_much(served, kind):
    headers = {"content-encoding": "gzip"}
    good = json.dumps({"instances": [RED]})
    before = served.memory()
    # One row is no attack by its rows: it is answered, in as long as that takes.
    one_row = kind == "one row of numbers"
    refused, limit = ((200,), 3 * SECONDS) if one_row else ((400, 413), SECONDS)
    status, seconds = post(served.url, PACKED[kind], headers=headers)
    assert status in refused
    assert seconds < limit
    with good_requests_beside(served.url, good):
        status, seconds = post(served.url, PACKED[kind], headers=headers)
        assert status in refused
        assert seconds < limit
    assert one_row or served.memory() < before + 300


def test_values_of_unlike_rank_wait_beside_each_other(served):
    """A scalar beside rows ended the thread that answers; everybody waited for ever."""
    image = base64.b64decode(RED["b64"])
    scalar = json.dumps({"inputs": {"b64": base64.b64encode(image).decode()}})
    good = json.dumps({"instances": [RED]})
    with good_requests_beside(served.url, good):
        for _ in range(20):
            status, seconds = post(served.url, scalar)
            assert status == 400
            assert seconds < SECONDS
    wide = json.dumps({"signature_name": "echo", "instances": [[1.0] * 3]})
    narrow = json.dumps({"signature_name": "echo", "instances": [[1.0]]})
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        bodies = [wide, narrow] * 40
        found = list(pool.map(lambda body: post(served.url, body), bodies))
    assert {status for status, _ in found} == {200}


def test_senders_that_hang_up_end_nothing(served):
    body = json.dumps({"instances": [RED] * 200})
    for _ in range(20):
        with contextlib.suppress(requests.ReadTimeout):
            requests.post(f"{served.url}:predict", data=body, timeout=0.01)
    for _ in range(3):
        status, seconds = post(served.url, json.dumps({"instances": [RED]}))
        assert status == 200
        assert seconds < SECONDS
    states = requests.get(served.url, timeout=30).json()["model_version_status"]
    assert {one["state"] for one in states} == {"AVAILABLE"}


def test_a_run_that_takes_too_long_is_ended(contract_folder):
    server = Served(contract_folder, "--run_seconds=0.2", name="contract")
    try:
        body = {"signature_name": "endless", "instances": [1.0]}
        start = time.monotonic()
        answer = requests.post(f"{server.url}:predict", json=body, timeout=60)
        assert answer.status_code == 504
        assert time.monotonic() - start < SECONDS
        assert post(server.url, json.dumps({"instances": [RED]}))[0] == 200
    finally:
        server.stop()


def test_the_attacks_are_what_they_say():
    assert len(PACKED["rows of nothing"]) < 40_000
    assert len(FILES["scans"]) < 150_000
    assert np.all([len(content) < 2_100_000 for content in FILES.values()])
