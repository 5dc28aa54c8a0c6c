"""The client over gRPC, against a service of TensorFlow Serving's protocol."""

import concurrent.futures
import contextlib
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from abe_tf.errors import InputError
from export.client import main
from export.config.client import ClientConfig
from tests.export.server import contract_model
from tests.helpers.images import PHOTO, save


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    """What TensorFlow Serving does with a request to predict."""

    def __init__(self, path):
        # With Python TensorFlow: this process has it already.
        self._model = tf.saved_model.load(path)
        self.asked, self.refusals, self.instead, self.seconds = [], [], None, 0.0

    def Predict(self, request, context):  # noqa: N802
        self.asked.append((request.model_spec, dict(context.invocation_metadata())))
        end = time.monotonic() + self.seconds
        while time.monotonic() < end and context.is_active():
            time.sleep(0.05)
        if self.refusals:
            refusal = self.refusals.pop(0)
            code, words = refusal if isinstance(refusal, tuple) else (refusal, "later")
            context.abort(code, words)
        if self.instead is not None:
            answer = predict_pb2.PredictResponse()
            for name, value in self.instead.items():
                answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            return answer
        images = list(tf.make_ndarray(request.inputs["image_bytes"]).ravel())
        try:
            signature = self._model.signatures[request.model_spec.signature_name]
            found = signature(image_bytes=tf.constant(images))
        except Exception as error:  # noqa: BLE001
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        answer = predict_pb2.PredictResponse()
        for name, value in found.items():
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
        return answer


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grpc")
    contract_model.write(str(folder))
    return str(folder / "1")


@contextlib.contextmanager
def serving(service, add_port):
    """Serves at the port that `add_port` adds."""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    service.port = add_port(server)
    server.start()
    try:
        yield service
    finally:
        server.stop(None)


@pytest.fixture
def service(model):
    with serving(Service(model), lambda s: s.add_insecure_port("127.0.0.1:0")) as found:
        yield found


@pytest.fixture
def photos(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for grey, path in enumerate(paths):
        path.write_bytes(save(PHOTO.point(lambda _, grey=grey: 40 * grey), "PNG"))
    paths[3].write_bytes(b"no image")
    return [str(path) for path in paths]


def config(service, **options):
    address = f"http://127.0.0.1:{service.port}/v1/models/abe"
    return ClientConfig(url=address, grpc=True, batch_size=2, **options)


def test_it_asks_and_one_broken_image_costs_only_itself(service, photos, tmp_path):
    written = str(tmp_path / "answers.npz")
    headers = ("Authorization: Bearer token",)
    with pytest.raises(SystemExit):
        main(config(service, npy=written, header=headers, label="stable"), photos)
    with np.load(written) as found:
        assert found["ids"].tolist() == [p for p in photos if p != photos[3]]
        greys = [[40.0 * grey] * 3 for grey in (0, 1, 2, 4)]
        np.testing.assert_array_equal(found["answers"], greys)
    spec, metadata = service.asked[0]
    assert (spec.name, spec.version_label) == ("abe", "stable")
    assert metadata["authorization"] == "Bearer token"


def test_a_signature_that_is_none_is_told_once(service, photos):
    words = 'Serving signature key "X" not found.'
    service.refusals = [(grpc.StatusCode.FAILED_PRECONDITION, words)] * 3
    with pytest.raises(InputError, match=words):
        main(config(service, signature="X", concurrency=1), photos)
    # Those that were sent already; no photo is asked about alone.
    assert len(service.asked) <= 3


def test_texts_are_written_as_texts(service, photos, tmp_path):
    service.instead = {
        "neighbors": np.array([[b"a.jpg", b"b.jpg"]], object),
        "distances": np.array([[0.5, 1.0]], np.float32),
    }
    written = str(tmp_path / "answers.npz")
    main(config(service, npy=written, signature="search"), photos[:1])
    with np.load(written) as found:
        assert found["neighbors"].tolist() == [["a.jpg", "b.jpg"]]
        assert found["distances"].tolist() == [[0.5, 1.0]]


@pytest.mark.parametrize(
    ("path", "version", "label"),
    [("abe/versions/3", 3, ""), ("abe/labels/canary", 0, "canary"), ("abe", 0, "")],
)
def test_addresses_are_those_of_rest(service, photos, path, version, label):
    address = f"http://127.0.0.1:{service.port}/v1/models/{path}"
    main(ClientConfig(url=address, grpc=True), photos[:1])
    spec, _ = service.asked[0]
    found = spec.name, spec.version.value, spec.version_label
    assert found == ("abe", version, label)


@pytest.mark.parametrize("path", ["abe/metadata", "abe:predict", ""])
def test_other_addresses_are_refused(service, photos, path):
    address = f"http://127.0.0.1:{service.port}/v1/models/{path}"
    with pytest.raises(InputError, match="Over gRPC --url must be"):
        main(ClientConfig(url=address, grpc=True), photos[:1])


def test_an_answer_has_a_row_an_image(service, photos):
    service.instead = {"embedding": np.zeros([3, 2], np.float32)}
    with pytest.raises(InputError, match="each of 2 images. Received: 3 predictions"):
        main(config(service), photos[:2])


def test_a_request_ends_by_its_time(service, photos):
    service.seconds = 30.0
    began = time.monotonic()
    with pytest.raises(InputError, match="(?i)deadline"):
        main(config(service, timeout=0.5, retries=0), photos[:1])
    assert time.monotonic() - began < 15


def test_an_answer_is_not_longer_than_was_said(service, photos, tmp_path):
    service.instead = {"embedding": np.zeros([1, 2**19], np.float32)}
    written = str(tmp_path / "answers.npz")
    main(config(service, answer_mb=4, npy=written), photos[:1])
    with np.load(written) as found:
        assert found["answers"].shape == (1, 2**19)
    with pytest.raises(InputError, match="see --answer_mb"):
        main(config(service, answer_mb=1), photos[:1])
    assert len(service.asked) == 2


@pytest.mark.parametrize("side", ["", "SERVER: ", "Stream removed (SERVER: "])
def test_a_request_that_is_too_long_is_halved(service, photos, side):
    words = f"{side}Received message larger than max (9000000 vs. 4194304)"
    service.refusals = [(grpc.StatusCode.RESOURCE_EXHAUSTED, words)]
    main(config(service), photos[:2])
    assert len(service.asked) == 3


def test_a_servers_certificate_is_checked(model, photos, certificate):
    cert, key = certificate
    pair = key.read_bytes(), cert.read_bytes()
    credentials = grpc.ssl_server_credentials([pair])
    with serving(
        Service(model),
        lambda server: server.add_secure_port("localhost:0", credentials),
    ) as service:
        address = f"https://localhost:{service.port}/v1/models/abe"
        main(ClientConfig(url=address, grpc=True, ca_file=str(cert)), photos[:1])
        assert len(service.asked) == 1
        with pytest.raises(InputError, match="failed to connect"):
            main(ClientConfig(url=address, grpc=True, retries=0), photos[:1])
        assert len(service.asked) == 1


@pytest.mark.parametrize(
    "refusal",
    [
        *(grpc.StatusCode.ABORTED, grpc.StatusCode.CANCELLED),
        (grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2"),
        (grpc.StatusCode.UNKNOWN, "Stream removed"),
    ],
)
def test_a_connection_that_broke_is_asked_again(service, photos, refusal):
    service.refusals = [refusal]
    main(config(service), photos[:1])
    assert len(service.asked) == 2


def test_what_went_wrong_within_is_not_asked_again(service, photos):
    service.refusals = [(grpc.StatusCode.INTERNAL, "a bug")]
    with pytest.raises(InputError, match="a bug"):
        main(config(service), photos[:1])
    assert len(service.asked) == 1


def test_it_asks_again_and_gives_up(service, photos):
    service.refusals = [grpc.StatusCode.UNAVAILABLE] * 2
    main(config(service), photos[:1])
    assert len(service.asked) == 3
    service.refusals = [grpc.StatusCode.PERMISSION_DENIED]
    with pytest.raises(InputError, match="later"):
        main(config(service), photos[:1])
    gone = ClientConfig(url="http://127.0.0.1:9/v1/models/x", grpc=True, retries=0)
    with pytest.raises(InputError, match="failed to connect"):
        main(gone, photos[:1])
