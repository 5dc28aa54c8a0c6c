"""What a person on call needs of a server: its states, numbers, names and its end."""

import concurrent.futures
import contextlib
import gzip
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest
import requests
import tensorflow as tf
from prometheus_client.parser import text_string_to_metric_families
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

from export.runtime import model_folder
from tests.export.server.test_contract import RED, ask, post
from tests.helpers.served import Served

# About a second of a run.
COUNTED = 60_000.0


@pytest.fixture
def one_version(contract_folder, tmp_path):
    shutil.copytree(contract_folder / "1", tmp_path / "models" / "1")
    return tmp_path / "models"


@contextlib.contextmanager
def serving(folder, *flags, **options):
    server = Served(folder, *flags, name="contract", **options)
    try:
        yield server
    finally:
        server.stop()


def wait_until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_it_waits_for_a_first_version(contract_folder, tmp_path):
    with serving(tmp_path, wait=False) as server:
        wait_until(lambda: _status(server) == 404)
        answer = post(server.url, {"instances": [RED]})
        assert answer.status_code == 404
        assert "Latest(contract)" in answer.json()["error"]
        shutil.copytree(contract_folder / "1", tmp_path / "1")
        wait_until(lambda: "AVAILABLE" in server.states())
        assert post(server.url, {"instances": [RED]}).status_code == 200


def _status(server):
    try:
        return requests.get(server.url, timeout=5).status_code
    except requests.ConnectionError:
        return None


def test_a_version_that_fails_is_told_with_its_error(one_version):
    with serving(one_version) as server:
        (one_version / "2").mkdir()
        wait_until(lambda: "END" in server.states())
        states = requests.get(server.url, timeout=30).json()["model_version_status"]
        failed, loaded = states
        assert (failed["version"], failed["state"]) == ("2", "END")
        assert failed["status"]["error_code"] == "NOT_FOUND"
        assert "SavedModel" in failed["status"]["error_message"]
        assert (loaded["version"], loaded["state"]) == ("1", "AVAILABLE")
        assert post(server.url, {"instances": [RED]}).status_code == 200


def warm(folder, signature, texts, name="text"):
    """Warmup records as the exporter writes them."""
    path = os.path.join(folder, model_folder.WARMUP)
    os.makedirs(os.path.dirname(path))
    request = predict_pb2.PredictRequest(
        model_spec=model_pb2.ModelSpec(signature_name=signature),
        inputs={name: tf.make_tensor_proto(texts, tf.string)},
    )
    log = prediction_log_pb2.PredictionLog(
        predict_log=prediction_log_pb2.PredictLog(request=request)
    )
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(log.SerializeToString())
    return path


def test_warmup_records_run_before_a_version_is_available(one_version):
    path = warm(one_version / "1", "texts", [b"one", b"two"])
    with serving(one_version):
        pass
    # One that fails keeps the version from loading, as in the real server.
    shutil.rmtree(os.path.dirname(path))
    path = warm(one_version / "1", "unknown", [b"one"])
    with serving(one_version, wait=False) as server:
        wait_until(lambda: server.states() == ["END"])
        shutil.rmtree(os.path.dirname(path))
    warm(one_version / "1", "texts", [b"one"])
    with open(path, "r+b") as file:
        file.truncate(30)
    with serving(one_version, wait=False) as server:
        wait_until(lambda: server.states() == ["END"])
        assert "a record longer than it is" in requests.get(server.url, timeout=30).text


def test_after_sigterm_it_says_so_answers_and_ends_with_0(one_version):
    server = Served(one_version, "--drain_seconds=20", name="contract")
    with requests.Session() as session:
        answered = session.post(f"{server.url}:predict", json={"instances": [RED]})
        assert answered.status_code == 200
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.states() == ["UNLOADING"], 10)
        # Whoever has not seen it yet is still answered.
        answered = session.post(f"{server.url}:predict", json={"instances": [RED]})
        assert answered.status_code == 200
    assert server.process.wait(timeout=30) == 0


def test_a_request_under_way_is_answered_after_sigterm(one_version):
    server = Served(one_version, "--drain_seconds=10", name="contract")
    found = []

    def long_one():
        body = {"signature_name": "count_up", "inputs": COUNTED}
        found.append(post(server.url, body).status_code)

    asking = threading.Thread(target=long_one)
    asking.start()
    time.sleep(0.3)
    server.process.send_signal(signal.SIGTERM)
    asking.join(30)
    assert found == [200]
    assert server.process.wait(timeout=30) == 0


def test_what_outlasts_the_drain_is_given_up(one_version):
    server = Served(
        one_version, "--drain_seconds=1", "--run_seconds=600", name="contract"
    )
    body = {"signature_name": "endless", "instances": [1.0]}
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asking = pool.submit(post, server.url, body)
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=60) == 0
        with contextlib.suppress(requests.ConnectionError):
            assert asking.result().status_code >= 500


def test_warmup_records_are_run(one_version):
    """A record that reads well, and that the model cannot answer."""
    warm(one_version / "1", "serving_default", [b"no image"], "image_bytes")
    with serving(one_version, wait=False) as server:
        wait_until(lambda: server.states() == ["END"])
        told = requests.get(server.url, timeout=30).text
    assert "Unknown image file format" in told


def test_requests_are_counted_under_the_real_servers_names(one_version):
    with serving(one_version) as server:
        assert post(server.url, {"instances": [RED]}).status_code == 200
        assert post(server.url, {"instances": [RED]}).status_code == 200
        assert post(server.url, b"{").status_code == 400
        text = requests.get(
            f"{server.origin}/monitoring/prometheus/metrics", timeout=30
        ).text
    samples = {
        (sample.name, sample.labels.get("status")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "_bucket" not in sample.name
    }
    count = ":tensorflow:serving:request_count"
    assert samples[count, "OK"] == 2
    assert samples[count, "INVALID_ARGUMENT"] == 1
    assert samples[":tensorflow:serving:request_latency_count", None] == 3
    assert samples[":tensorflow:serving:runtime_latency_count", None] == 2
    # Microseconds.
    assert 50 < samples[":tensorflow:serving:request_latency_sum", None] < 3e7


def test_requests_have_names_and_are_logged(one_version, tmp_path):
    log = tmp_path / "log"
    with open(log, "w") as file:
        server = Served(one_version, "--access_log", name="contract", stderr=file)
        try:
            named = requests.get(
                server.url, headers={"X-Request-Id": "from-a-gateway"}, timeout=30
            )
            unnamed = requests.get(f"{server.url}/nope", timeout=30)
            foul = requests.get(
                server.url, headers={"X-Request-Id": "a b<script>"}, timeout=30
            )
        finally:
            server.stop()
    assert named.headers["x-request-id"] == "from-a-gateway"
    assert len(unnamed.headers["x-request-id"]) == 32
    assert "script" not in foul.headers["x-request-id"]
    lines = [
        json.loads(line) for line in log.read_text().splitlines() if line[0] == "{"
    ]
    by_id = {line["request_id"]: line for line in lines}
    told = by_id["from-a-gateway"]
    assert (told["method"], told["path"], told["status"]) == (
        *("GET", "/v1/models/contract", 200),
    )
    assert told["milliseconds"] >= 0
    assert by_id[unnamed.headers["x-request-id"]]["status"] == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:8501"}, 403),
        ({"Host": "localhost:8501"}, 200),
        ({"Host": "[::1]:8501", "Origin": "http://[::1]:8501"}, 200),
        ({"Host": "["}, 403),
        ({"Origin": "http://["}, 403),
    ],
)
def test_pages_of_others_get_no_answers(served, headers, status):
    assert requests.get(served.url, headers=headers, timeout=30).status_code == status
    answer = post(served.url, {"instances": [RED]}, headers=headers)
    assert answer.status_code == status


def raw(server, *parts):
    """What is answered to bytes that are sent part by part."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as one:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                one.sendall(part)
        received = b""
        with contextlib.suppress(ConnectionError):
            while part := one.recv(2**16):
                received += part
        return received


def test_a_request_that_offers_http2_is_answered(served):
    body = json.dumps({"instances": [RED]}).encode()
    head = (
        b"POST /v1/models/contract:predict HTTP/1.1\r\nHost: localhost\r\n"
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    for parts in ((head + body,), (head, body)):
        answer = raw(served, *parts)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"7.0" in answer
        # The body is read once, and as no request of its own.
        assert answer.count(b"HTTP/1.1") == 1


def test_trailers_without_an_end_are_refused_and_cost_no_memory(served):
    before = served.memory()
    head = (
        b"POST /v1/models/contract:predict HTTP/1.1\r\nHost: localhost\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    )
    trailers = (b"x-%d: " % number + b"a" * 100_000 + b"\r\n" for number in range(500))
    answer = raw(served, head, *trailers)
    assert answer == b"" or b"HTTP/1.1 431" in answer
    assert served.memory() < before + 20


def test_a_body_in_very_small_parts_is_read(served):
    body = json.dumps({"instances": [RED]}).encode()
    parts = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    head = (
        b"POST /v1/models/contract:predict HTTP/1.1\r\nHost: localhost\r\n"
        b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert raw(served, head + parts).startswith(b"HTTP/1.1 200")


def test_who_sends_and_does_not_read_is_let_go(one_version):
    with serving(one_version, "--request_seconds=1") as server:
        one = socket.create_connection(("127.0.0.1", server.port))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.settimeout(0.5)
        asked = b"GET /v1/models/contract/metadata HTTP/1.1\r\nHost: localhost\r\n\r\n"
        end = time.monotonic() + 20
        with one:
            # Until nothing more is taken, and then until the connection is ended.
            while time.monotonic() < end:
                try:
                    one.sendall(asked * 100)
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
            assert time.monotonic() < end
        assert post(server.url, {"instances": [RED]}).status_code == 200


def test_who_reads_slowly_is_not_let_go(one_version):
    rows = {"signature_name": "echo", "instances": [[0.123456789] * 9999] * 200}
    body = gzip.compress(json.dumps(rows).encode())
    with (
        serving(one_version, "--request_seconds=1") as server,
        socket.create_connection(("127.0.0.1", server.port)) as one,
    ):
        head = b"POST /v1/models/contract:predict HTTP/1.1\r\nHost: localhost\r\n"
        head += b"Connection: close\r\nContent-Encoding: gzip\r\n"
        head += b"Content-Length: %d\r\n\r\n" % len(body)
        one.sendall(head + body)
        received, end = 0, time.monotonic() + 3
        while part := one.recv(2**16):
            received += len(part)
            if time.monotonic() < end:
                time.sleep(0.02)
        assert received > 200 * 9999 * 10


def test_who_reads_nothing_of_a_short_answer_is_let_go_too(one_version):
    with serving(one_version, "--request_seconds=1", "--max_connections=4") as server:
        held = []
        for _ in range(3):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            one.connect(("127.0.0.1", server.port))
            asked = b"GET /v1/models/contract/metadata HTTP/1.1\r\n"
            one.settimeout(1)
            with contextlib.suppress(TimeoutError):
                one.sendall((asked + b"Host: localhost\r\n\r\n") * 3000)
            held.append(one)
        # Two of the four connections at least are free again.
        with requests.Session() as kept:
            wait_until(lambda: _status(server) == 200, 30)
            assert kept.get(server.url, timeout=30).status_code == 200
            wait_until(lambda: _status(server) == 200, 30)
        for one in held:
            one.close()


def test_a_connection_is_kept_for_many_requests(served):
    with requests.Session() as session:
        session.headers["User-Agent"] = "Prometheus/2.53 " + "x" * 150
        for _ in range(600):
            assert session.get(served.url, timeout=30).status_code == 200


def test_bytes_of_all_requests_together_are_bounded(one_version):
    with serving(one_version, "--max_in_flight_mb=4") as server:
        head = (
            b"POST /v1/models/contract:predict HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 3000000\r\n\r\n"
        )
        held = []
        for _ in range(2):
            one = socket.create_connection(("127.0.0.1", server.port), timeout=30)
            one.sendall(head + b" " * 2_500_000)
            held.append(one)
            time.sleep(0.3)
        assert held[1].recv(100).startswith(b"HTTP/1.1 503")
        for one in held:
            one.close()
        wait_until(
            lambda: post(server.url, {"instances": [RED]}).status_code == 200, 10
        )


def test_who_hangs_up_is_not_computed_for(one_version):
    """A run of a second, many times: only the one under way is finished."""
    with serving(one_version, "--max_batch_size=1") as server:
        body = json.dumps({"signature_name": "count_up", "inputs": COUNTED}).encode()
        head = (
            b"POST /v1/models/contract:predict HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        start = time.monotonic()
        ask(server.url, "count_up", inputs=COUNTED)
        alone = time.monotonic() - start
        gone = []
        for _ in range(20):
            one = socket.create_connection(("127.0.0.1", server.port))
            one.sendall(head + body)
            gone.append(one)
        time.sleep(0.2)
        for one in gone:
            # At once, and not when all is read.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()
        start = time.monotonic()
        assert post(server.url, {"instances": [RED]}).status_code == 200
        assert time.monotonic() - start < 5 * alone + 1


def test_models_config_may_be_written_in_any_of_protobufs_ways(
    contract_folder, tmp_path
):
    for version in (1, 2):
        shutil.copytree(contract_folder / str(version), tmp_path / str(version))
    (tmp_path / "models.config").write_text(
        "# by hand\nmodel_config_list: <\n config <\n name: 'contract'\n"
        " base_path: '/m'\n"
        " model_version_policy: < specific < versions: [1, 2] > >\n"
        " version_labels < key: 'stable' value: 1 >\n"
        ' version_labels { value: 2, key: "canary" };\n'
        " logging_config { sampling_config { sampling_rate: 0.1 } }\n > >\n"
    )
    with serving(tmp_path) as server:
        wait_until(lambda: server.states() == ["AVAILABLE"] * 2)
        for label, version in (("stable", "1"), ("canary", "2")):
            found = requests.get(f"{server.url}/labels/{label}/metadata", timeout=30)
            assert found.json()["model_spec"]["version"] == version


def test_a_port_that_is_taken_is_told(one_version, run_command):
    with serving(one_version) as server:
        result = run_command(
            *("export.local_server", f"--model_dir={one_version}"),
            f"--port={server.port}",
            check=False,
        )
    assert result.returncode != 0
    assert "address already in use" in result.stderr
    assert "Traceback" not in result.stderr


def test_folders_that_are_no_versions_are_passed_over(contract_folder, tmp_path):
    shutil.copytree(contract_folder / "1", tmp_path / "7")
    for name in (str(2**64), "007", "x", "٣"):
        (tmp_path / name).mkdir()
    assert model_folder.versions(str(tmp_path)) == [7]


def test_what_is_published_can_be_read_by_everybody(contract_folder, tmp_path):
    before = os.umask(0o077)
    try:
        with model_folder.incomplete(str(tmp_path)) as beside:
            shutil.copytree(contract_folder / "1", beside, dirs_exist_ok=True)
            for folder, _, names in os.walk(beside):
                os.chmod(folder, 0o700)
                for name in names:
                    os.chmod(os.path.join(folder, name), 0o600)
            path = model_folder.publish(beside, 3)
    finally:
        os.umask(before)
    modes = subprocess.run(
        ["find", path, "-printf", "%y %m\n"], capture_output=True, text=True, check=True
    ).stdout.split("\n")
    assert set(filter(None, modes)) == {"d 755", "f 644"}
