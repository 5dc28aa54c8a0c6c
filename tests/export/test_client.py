"""The client against a server that fails in every way that servers do."""

import contextlib
import http.server
import json
import os
import ssl
import threading
import time
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from abe_tf.errors import InputError
from export.ask.answers import Answers
from export.ask.client import Client, Refused
from export.ask.errors import ServerError
from export.ask.images import find_images
from export.ask.rest_calls import RestCalls
from export.client import main
from export.config.client import ClientConfig


def client(url, signature="serving_default", label=None, timeout=30.0, **options):
    calls = RestCalls(url, signature, label, timeout, 8, {}, None)
    return Client(calls, **options)


class Flaky(http.server.BaseHTTPRequestHandler):
    """Answers as the list says, then with the length of each image."""

    before: list = []
    asked: list = []
    elsewhere = 0
    odd = {  # noqa: RUF012
        "half an answer": "answer_half",
        "half an answer of no length": "answer_without_length",
        "byte by byte": "trickle",
        "a head byte by byte": "trickle_head",
        "much": "answer_much",
        "wait an hour": "ask_to_wait",
        "escapes": "answer_escapes",
    }
    seen_headers: list = []  # noqa: RUF012

    def answer_half(self):
        self.send_response(200)
        self.send_header("content-length", "1000")
        self.end_headers()
        self.wfile.write(b'{"predictions": [')
        self.close_connection = True

    def answer_without_length(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"predictions": [')
        self.close_connection = True

    def trickle(self):
        self.send_response(200)
        self.send_header("content-length", "1000")
        self.end_headers()
        self._drip(b" " * 200)

    def trickle_head(self):
        self._drip(b"HTTP/1.1 200 OK\r\n" + b"x" * 200)

    def _drip(self, content):
        with contextlib.suppress(OSError):
            for byte in content:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.1)

    def answer_much(self):
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(20):
                self.wfile.write(b" " * 2**20)

    def ask_to_wait(self):
        self.send_response(503)
        self.send_header("retry-after", "3600")
        self.send_header("content-length", "17")
        self.end_headers()
        self.wfile.write(b'{"error": "later"')

    def answer_escapes(self):
        self.answer(400, {"error": "no image \x1b]0;owned\x07"})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        images = [one["image_bytes"]["b64"] for one in body["instances"]]
        self.seen_headers.append(dict(self.headers))
        self.asked.append((self.path, body["signature_name"], len(images)))
        status = self.before.pop(0) if self.before else "fine"
        if isinstance(status, dict):
            self.answer(200, status)
        elif status == "a list":
            self.answer(200, [1])
        elif status == "redirect":
            self.send_response(307)
            self.send_header("location", f"http://127.0.0.1:{self.elsewhere}/photos")
            self.send_header("content-length", "0")
            self.end_headers()
        elif status != "fine":
            if status == "hang up":
                self.close_connection = True
                return
            if status in self.odd:
                getattr(self, self.odd[status])()
                return
            status, words = status if isinstance(status, tuple) else (status, "later")
            self.answer(status, {"error": words})
        elif "YmFk" in images:
            self.answer(400, {"error": "{{node x}} no image\n\t[[trail]]"})
        else:
            self.answer(200, {"predictions": [[len(image)] for image in images]})

    def answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def url():
    Flaky.before, Flaky.asked = [], []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Flaky)
    Flaky.elsewhere = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/models/abe"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def files(tmp_path):
    for number in range(10):
        content = b"bad" if number in (3, 8) else b"x" * number
        (tmp_path / f"{number}.jpg").write_bytes(content)
    return [str(tmp_path / f"{number}.jpg") for number in range(10)]


def test_broken_images_cost_only_themselves(url, files):
    answers = list(client(url, batch_size=5, concurrency=2).ask(files))
    refused = [one for one in answers if isinstance(one, Refused)]
    assert refused == [Refused(files[n], "no image") for n in (3, 8)]
    answered = [one[0] for one in answers if not isinstance(one, Refused)]
    assert answered == [path for n, path in enumerate(files) if n not in (3, 8)]


@pytest.mark.parametrize("times", [1, 3])
def test_a_refusal_that_was_anothers_is_cleared_by_one_answer(url, files, times):
    """A server that batches across clients refuses one image for another's."""
    Flaky.before = [(400, "no image")] * times
    (answer,) = client(url).ask([files[2]])
    assert answer == (files[2], [4])
    assert len(Flaky.asked) == times + 1


def test_an_image_is_named_broken_once_it_is_refused_alone_four_times(url, files):
    (refused,) = client(url).ask([files[3]])
    assert refused == Refused(files[3], "no image")
    assert len(Flaky.asked) == 4


def test_photos_are_sent_nowhere_else(url, files):
    Flaky.before = ["redirect"]
    with pytest.raises(ServerError, match=r"points to '.*/photos', where nothing is"):
        list(client(url, concurrency=1).ask(files[:1]))
    assert [path for path, _, _ in Flaky.asked] == ["/v1/models/abe:predict"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"predictions": [[1]]}, "once for each of 2 images. Received: 1 pred"),
        ({"predictions": [[1]] * 3}, "once for each of 2 images. Received: 3 pred"),
        ({"predictions": None}, "Received: none predictions"),
        ({"predictions": {"a": 1, "b": 2}}, "Received: none predictions"),
    ],
)
def test_answers_that_are_not_one_an_image_are_refused(url, files, answer, message):
    Flaky.before = [answer]
    with pytest.raises(ServerError, match=message):
        list(client(url, concurrency=1).ask(files[:2]))


@pytest.mark.parametrize(
    "odd", [None, [1, [2]], [None], {"y": [1]}, [[1, 2]], "text", [1, 2], {}]
)
def test_an_answer_that_is_no_array_costs_only_itself(
    url, files, tmp_path, capsys, odd
):
    Flaky.before = [{"predictions": [[7], odd, [9]]}]
    written = tmp_path / "answers.npz"
    options = ClientConfig(url=url, npy=str(written), concurrency=1)
    with pytest.raises(SystemExit):
        main(options, files[:3])
    with np.load(written) as found:
        assert found["ids"].tolist() == [files[0], files[2]]
        assert found["answers"].tolist() == [[7], [9]]
    told = capsys.readouterr().err
    assert f"refused: {files[1]}: answered with {json.dumps(odd)}" in told
    assert "2 of 3 images answered" in told


def test_the_first_answer_is_no_measure_of_the_others(url, files, tmp_path):
    Flaky.before = [{"predictions": [[1, 2], [7], [9]]}]
    written = tmp_path / "answers.npz"
    with pytest.raises(SystemExit):
        main(ClientConfig(url=url, npy=str(written), concurrency=1), files[:3])
    with np.load(written) as found:
        assert found["ids"].tolist() == files[1:3]


def test_outputs_may_have_any_name(url, files, tmp_path):
    Flaky.before = [{"predictions": [{"file": [1], "ids": "a"}] * 2}]
    written = tmp_path / "answers.npz"
    main(ClientConfig(url=url, npy=str(written), concurrency=1), files[:2])
    with np.load(written) as found:
        assert found["ids"].tolist() == files[:2]
        assert found["answer_file"].tolist() == [[1], [1]]
        assert found["answer_ids"].tolist() == ["a", "a"]


def test_what_was_answered_about_later_images_is_kept_too(url, files):
    good = [*files[:3], *files[4:8]]
    asking = client(url, batch_size=1, concurrency=2, retries=0)
    first = threading.Event()

    def predict(encoded):
        if encoded == [b""]:
            assert first.wait(30)
            raise ServerError(503, "later")
        first.set()
        return [len(encoded[0])]

    asking.predict = predict
    answers = []
    with pytest.raises(ServerError, match="later"):
        for answer in asking.ask(good):
            answers.append(answer)  # noqa: PERF402  (also those before it raises)
    assert answers[0] == (good[1], 1)


def test_a_pipe_is_no_image(url, files, tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    paths = [str(tmp_path / "pipe.jpg"), "/dev/zero", files[0]]
    pipe, device, last = client(url).ask(paths)
    assert pipe == Refused(paths[0], "no regular file")
    assert device == Refused(paths[1], "no regular file")
    assert last[0] == files[0]


def test_a_file_that_is_gone_costs_only_itself(url, files):
    first, gone, last = client(url).ask([files[0], "/gone.jpg", files[1]])
    assert gone == Refused("/gone.jpg", "No such file or directory")
    assert (first[0], last[0]) == (files[0], files[1])


@pytest.mark.parametrize(
    "trouble",
    [
        *([503, 429], ["hang up"], [503, "hang up", 503], [502, 504], [408]),
        *(["half an answer"], ["half an answer of no length"]),
    ],
)
def test_it_asks_again(url, files, trouble):
    Flaky.before = list(trouble)
    answers = list(client(url, retries=4).ask(files[:3]))
    assert [answer[1] for answer in answers] == [[0], [4], [4]]
    assert len(Flaky.asked) == len(trouble) + 1


def test_it_gives_up_with_the_servers_words(url, files):
    Flaky.before = [503] * 9
    with pytest.raises(ServerError, match="later"):
        list(client(url, retries=2).ask(files[:1]))
    assert len(Flaky.asked) == 3
    with pytest.raises(ServerError, match="does not answer"):
        list(client("http://127.0.0.1:9/v1/models/x", retries=1).ask(files[:1]))


@pytest.mark.parametrize(
    "words",
    [
        'Serving signature name: "X" not found in signature def',
        "Unrecognized servable version label: X",
        "Malformed request: POST /v1/models/abe:predict:predict",
        "JSON object: does not have named input: image_bytes",
    ],
)
def test_what_no_image_is_to_blame_for_is_said_once(url, files, words):
    Flaky.before = [(400, words)]
    with pytest.raises(ServerError, match=words):
        list(client(url, concurrency=1).ask(files))
    assert len(Flaky.asked) == 1


def test_a_batch_that_is_too_large_is_halved(url, files):
    Flaky.before = [(413, "at most 32 MB"), (413, "at most 32 MB")]
    answers = list(client(url, batch_size=4, concurrency=1).ask(files[4:8]))
    assert [path for path, _ in answers] == files[4:8]
    assert [count for _, _, count in Flaky.asked] == [4, 2, 1, 1, 2]


def test_answers_that_there_are_get_written_where_the_server_goes_away(
    url, files, tmp_path
):
    Flaky.before = ["fine", *[503] * 4]
    written = tmp_path / "answers.npz"
    options = ClientConfig(
        url=url, npy=str(written), batch_size=2, concurrency=1, retries=1
    )
    with pytest.raises(InputError, match="later"):
        main(options, [*files[:3], *files[4:8]])
    with np.load(written) as found:
        assert found["ids"].tolist() == files[:2]


def test_no_object_is_no_answer(url, files):
    Flaky.before = ["a list"]
    with pytest.raises(ServerError, match="with no object"):
        list(client(url, concurrency=1).ask(files[:1]))


def test_signature_and_label_are_asked_for(url, files):
    list(client(url, signature="learners", label="stable").ask(files[:1]))
    assert Flaky.asked == [("/v1/models/abe/labels/stable:predict", "learners", 1)]


@pytest.mark.parametrize("slow", ["byte by byte", "a head byte by byte"])
def test_a_request_ends_by_its_time_whatever_trickles_in(url, files, slow):
    Flaky.before = [slow] * 2
    start = time.monotonic()
    with pytest.raises(ServerError, match="does not answer|takes more than 1 s"):
        list(client(url, timeout=1.0, retries=0).ask(files[:1]))
    assert time.monotonic() - start < 5
    Flaky.before = [slow]
    (answer,) = client(url, timeout=1.0, retries=1).ask(files[:1])
    assert answer == (files[0], [0])


def test_a_server_is_not_waited_for_longer_than_was_said(url, files):
    Flaky.before = ["wait an hour"]
    start = time.monotonic()
    with pytest.raises(
        ServerError, match=r"--wait_seconds; the next try .* 3.6e\+03 s"
    ):
        list(client(url, wait_seconds=5.0).ask(files[:1]))
    assert time.monotonic() - start < 2
    assert len(Flaky.asked) == 1


def test_an_answer_without_an_end_is_refused(url, files):
    Flaky.before = ["much"]
    with pytest.raises(ServerError, match="answered more than 8 MB; see --answer_mb"):
        list(client(url).ask(files[:1]))


def test_a_servers_words_move_no_terminal(url, files, capsys):
    Flaky.before = ["escapes"] * 4
    with pytest.raises(SystemExit):
        main(ClientConfig(url=url), files[:1])
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert "no image \\x1b]0;owned\\x07" in told


def test_passwords_are_sent_and_never_shown(url, files, capsys):
    with_password = url.replace("http://", "http://me:secret@")
    main(ClientConfig(url=with_password), files[:1])
    assert "Authorization" in Flaky.seen_headers[-1]
    Flaky.before = ["redirect"]
    with pytest.raises(InputError) as refused:
        main(ClientConfig(url=with_password), files[:1])
    assert "secret" not in str(refused.value) + capsys.readouterr().err
    gone = "http://me:secret@127.0.0.1:9/v1/models/x"
    with pytest.raises(InputError) as refused:
        main(ClientConfig(url=gone, retries=0), files[:1])
    assert "secret" not in str(refused.value)


def test_headers_are_sent(url, files):
    headers = ("Authorization: Bearer a:b", "X-Team: photos")
    main(ClientConfig(url=url, header=headers), files[:1])
    assert Flaky.seen_headers[-1]["Authorization"] == "Bearer a:b"
    assert Flaky.seen_headers[-1]["X-Team"] == "photos"


def test_a_given_header_comes_before_a_file_of_passwords(
    url, files, tmp_path, monkeypatch
):
    (tmp_path / "netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    main(ClientConfig(url=url, header=("authorization: Bearer mine",)), files[:1])
    assert Flaky.seen_headers[-1]["authorization"] == "Bearer mine"


@pytest.mark.parametrize(
    "address",
    [
        *("http://[::1/v1/models/abe", "http://localhost:85o1/v1/models/abe"),
        *("localhost:8501/v1/models/abe", "http://localhost:8501/models/abe"),
        *("http://me:secret@host:85o1/v1/models/abe", "http://me:secret@host/models"),
        *("me:secret@host:8501/v1/models/abe", "http://me:se/cret@host/v1/models/a"),
    ],
)
@pytest.mark.parametrize("grpc", [False, True])
def test_an_address_that_is_none_is_refused(address, grpc, files):
    with pytest.raises(InputError, match="--url must be a model's address") as refused:
        main(ClientConfig(url=address, grpc=grpc), files[:1])
    assert "cret" not in str(refused.value)
    assert address.rpartition("@")[2] in str(refused.value)


def test_escapes_of_a_refusal_reach_no_terminal(url, files, monkeypatch):
    monkeypatch.setattr(Flaky, "before", [(403, "no \x1b]0;owned\x07")])
    with pytest.raises(InputError, match="no ") as refused:
        main(ClientConfig(url=url), files[:1])
    assert "\x1b" not in str(refused.value)
    assert "\x07" not in str(refused.value)


def test_a_refused_photo_is_asked_about_after_pauses(url, files, monkeypatch):
    slept = []
    monkeypatch.setattr("export.ask.client.time.sleep", slept.append)
    monkeypatch.setattr(Flaky, "before", [(400, "broken")] * 4)
    (refused,) = client(url, concurrency=1).ask(files[:1])
    assert isinstance(refused, Refused)
    assert slept == [0.1, 0.4, 1.0]


def test_pauses_grow(url, files, monkeypatch):
    """Those before a server is asked again."""
    waited = []
    one = client(url)

    class Ended(threading.Event):
        def wait(self, timeout=None):
            waited.append(timeout)
            return False

    one._ended = Ended()
    monkeypatch.setattr(Flaky, "before", [(502, "")] * 3)
    list(one.ask(files[:1]))
    assert len(waited) == 3
    for seconds, most in zip(waited, (0.5, 1, 2), strict=True):
        assert most / 2 <= seconds <= most


def test_what_cannot_heal_is_not_asked_again(files):
    start = time.monotonic()
    with pytest.raises(InputError, match="does not answer"):
        main(ClientConfig(url="http://a..b/v1/models/x"), files[:1])
    assert time.monotonic() - start < 5


def test_who_gives_up_waits_for_nobody(url, files):
    Flaky.before = [503] * 50
    asking = client(url, wait_seconds=60.0).ask(files[:1])
    threading.Timer(1.0, asking.gi_frame.f_locals["self"]._ended.set).start()
    start = time.monotonic()
    with pytest.raises(ServerError, match="Nobody waits"):
        list(asking)
    assert time.monotonic() - start < 10


def test_a_full_disk_keeps_what_there_was(tmp_path, monkeypatch):
    answers = Answers(3, False, str(tmp_path / "answers.npz"))
    with answers:
        answers.take(("a", [1.0, 2.0]))
        (alike,) = answers._alike.values()

        class Full:
            def __init__(self, file):
                self._file = file

            def write(self, content):
                self._file.write(content[:3])
                raise OSError(28, "No space left on device")

            def __getattr__(self, name):
                return getattr(self._file, name)

        alike._files = {name: Full(file) for name, file in alike._files.items()}
        with pytest.raises(InputError, match="No space left"):
            answers.take(("b", [3.0, 4.0]))
        alike._files = {name: file._file for name, file in alike._files.items()}
        answers.write()
    with np.load(tmp_path / "answers.npz") as found:
        assert found["ids"].tolist() == ["a"]
        assert found["answers"].tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    "header", ["no colon", ": nameless", "a b: c", "x: a\nb", "x: 日本"]
)
def test_a_header_that_is_none_is_refused_without_its_value(url, files, header):
    with pytest.raises(InputError, match="--header must be NAME: VALUE"):
        main(ClientConfig(url=url, header=(header,)), files[:1])


def test_a_servers_certificate_is_checked(files, certificate):
    """Against one's own authority where it is given, against the usual ones else."""
    Flaky.before, Flaky.asked = [], []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Flaky)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"https://localhost:{server.server_port}/v1/models/abe"
    try:
        main(ClientConfig(url=address, ca_file=str(certificate[0])), files[:1])
        assert len(Flaky.asked) == 1
        with pytest.raises(InputError, match="CERTIFICATE_VERIFY_FAILED"):
            main(ClientConfig(url=address, retries=0), files[:1])
        assert len(Flaky.asked) == 1
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.slow
def test_many_answers_are_not_held_in_memory(url, tmp_path):
    """Of 400 kB each, which would be 80 MB together."""
    path = tmp_path / "0.jpg"
    path.write_bytes(b"x")
    answers = Answers(200, False, str(tmp_path / "answers.npz"))
    value = np.linspace(0, 1, 100_000, dtype=np.float32)
    tracemalloc.start()
    with answers:
        for number in range(200):
            answers.take((f"{number}.jpg", (value + number).tolist()))
        answers.write()
        _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6
    with np.load(tmp_path / "answers.npz") as found:
        assert found["answers"].shape == (200, 100_000)
        assert found["answers"].dtype == np.float32
        np.testing.assert_array_equal(found["answers"][7], value + 7)


def test_photos_of_other_formats_are_converted_before_they_are_sent(url, tmp_path):
    photo = Image.new("RGB", (5, 4), (10, 200, 30))
    photo.save(tmp_path / "a.webp")
    photo.save(tmp_path / "b.tiff")
    (tmp_path / "c.webp").write_bytes(b"RIFF\0\0\0\0WEBPVP8 ")
    paths = [str(tmp_path / name) for name in ("a.webp", "b.tiff", "c.webp")]
    first, second, broken = client(url).ask(paths)
    assert isinstance(broken, Refused)
    assert "a WebP file that is broken" in broken.reason
    assert (first[0], second[0]) == (paths[0], paths[1])
    assert Flaky.asked[-1][2] == 2
    large, _, _ = client(url, max_pixels=19).ask(paths)
    assert isinstance(large, Refused)
    assert "at most 19 pixels" in large.reason


def test_images_are_found_below_folders(tmp_path, files, capsys):
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    (tmp_path / "._0.jpg").write_bytes(b"")
    (tmp_path / "photo.jxl").write_bytes(b"\xff\x0a\0\0")
    assert find_images([str(tmp_path)]) == [*files, str(tmp_path / "photo.heic")]
    told = capsys.readouterr().err
    assert f"Left out in {tmp_path}, no photos: 1: 'notes.txt'" in told
    assert "JPEG XL, a format that is not read: 1: 'photo.jxl'" in told
    assert "hidden: 1: '._0.jpg'" in told
    with pytest.raises(InputError, match="must exist"):
        find_images(["/no/such"])
    with pytest.raises(InputError, match="no path"):
        find_images([])
