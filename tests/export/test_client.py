"""The client against a server that fails in every way that servers do."""

import http.server
import json
import os
import threading

import numpy as np
import pytest

from abe_tf.errors import InputError
from export.ask.client import Client, Refused, ServerError
from export.ask.images import find_images
from export.client import main
from export.config.client import ClientConfig


class Flaky(http.server.BaseHTTPRequestHandler):
    """Answers as the list says, then with the length of each image."""

    before: list = []
    asked: list = []
    elsewhere = 0

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        images = [one["image_bytes"]["b64"] for one in body["instances"]]
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
    answers = list(Client(url, batch_size=5, concurrency=2).ask(files))
    refused = [one for one in answers if isinstance(one, Refused)]
    assert refused == [Refused(files[n], "no image") for n in (3, 8)]
    answered = [one[0] for one in answers if not isinstance(one, Refused)]
    assert answered == [path for n, path in enumerate(files) if n not in (3, 8)]


@pytest.mark.parametrize("times", [1, 3])
def test_a_refusal_that_was_anothers_is_cleared_by_one_answer(url, files, times):
    """A server that batches across clients refuses one image for another's."""
    Flaky.before = [(400, "no image")] * times
    (answer,) = Client(url).ask([files[2]])
    assert answer == (files[2], [4])
    assert len(Flaky.asked) == times + 1


def test_an_image_is_named_broken_once_it_is_refused_alone_four_times(url, files):
    (refused,) = Client(url).ask([files[3]])
    assert refused == Refused(files[3], "no image")
    assert len(Flaky.asked) == 4


def test_photos_are_sent_nowhere_else(url, files):
    Flaky.before = ["redirect"]
    with pytest.raises(ServerError, match=r"points to '.*/photos', where nothing is"):
        list(Client(url, concurrency=1).ask(files[:1]))
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
        list(Client(url, concurrency=1).ask(files[:2]))


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
    client = Client(url, batch_size=1, concurrency=2, retries=0)
    first = threading.Event()

    def predict(encoded):
        if encoded == [b""]:
            assert first.wait(30)
            raise ServerError(503, "later")
        first.set()
        return [len(encoded[0])]

    client.predict = predict
    answers = []
    with pytest.raises(ServerError, match="later"):
        for answer in client.ask(good):
            answers.append(answer)  # noqa: PERF402  (also those before it raises)
    assert answers[0] == (good[1], 1)


def test_a_pipe_is_no_image(url, files, tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    pipe, last = Client(url).ask([str(tmp_path / "pipe.jpg"), files[0]])
    assert pipe == Refused(str(tmp_path / "pipe.jpg"), "no regular file")
    assert last[0] == files[0]


def test_a_file_that_is_gone_costs_only_itself(url, files):
    first, gone, last = Client(url).ask([files[0], "/gone.jpg", files[1]])
    assert gone == Refused("/gone.jpg", "No such file or directory")
    assert (first[0], last[0]) == (files[0], files[1])


@pytest.mark.parametrize("trouble", [[503, 429], ["hang up"], [503, "hang up", 503]])
def test_it_asks_again(url, files, trouble):
    Flaky.before = list(trouble)
    answers = list(Client(url, retries=4).ask(files[:3]))
    assert [answer[1] for answer in answers] == [[0], [4], [4]]
    assert len(Flaky.asked) == len(trouble) + 1


def test_it_gives_up_with_the_servers_words(url, files):
    Flaky.before = [503] * 9
    with pytest.raises(ServerError, match="later"):
        list(Client(url, retries=2).ask(files[:1]))
    assert len(Flaky.asked) == 3
    with pytest.raises(ServerError, match="does not answer"):
        list(Client("http://127.0.0.1:9/v1/models/x", retries=1).ask(files[:1]))


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
        list(Client(url, concurrency=1).ask(files))
    assert len(Flaky.asked) == 1


def test_a_batch_that_is_too_large_is_halved(url, files):
    Flaky.before = [(413, "at most 32 MB"), (413, "at most 32 MB")]
    answers = list(Client(url, batch_size=4, concurrency=1).ask(files[4:8]))
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
        list(Client(url, concurrency=1).ask(files[:1]))


def test_signature_and_label_are_asked_for(url, files):
    list(Client(url, signature="learners", label="stable").ask(files[:1]))
    assert Flaky.asked == [("/v1/models/abe/labels/stable:predict", "learners", 1)]


def test_images_are_found_below_folders(tmp_path, files, capsys):
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    (tmp_path / "._0.jpg").write_bytes(b"")
    assert find_images([str(tmp_path)]) == files
    told = capsys.readouterr().err
    assert f"Left out in {tmp_path}, no photos: 1: 'notes.txt'" in told
    assert "HEIC, a format that is not read: 1: 'photo.heic'" in told
    assert "hidden: 1: '._0.jpg'" in told
    with pytest.raises(InputError, match="must exist"):
        find_images(["/no/such"])
    with pytest.raises(InputError, match="no path"):
        find_images([])
