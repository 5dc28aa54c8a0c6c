"""One request of TensorFlow Serving's gRPC interface."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from abe_tf.errors import InputError
from export.ask.errors import NEVER, ServerError
from export.ask.rest_calls import checked
from export.config.client import without_password

# What gRPC says, as HTTP would.
_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.ABORTED: 503,
    grpc.StatusCode.CANCELLED: 503,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
# What gRPC says of a connection that broke, under INTERNAL or UNKNOWN.
_LOST = ("RST_STREAM", "Stream removed", "GOAWAY")
# Words around it differ by version and by side; the bound is ours or the server's.
_TOO_LONG = re.compile(r"Received message larger than max \(\d+ vs\. (\d+)\)")
_MB = 2**20
_PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d{1,18})|/labels/([^/:]+))?")


class GrpcCalls:
    """A model behind gRPC, named as over REST. Threads may share it.

    Args:
      url: Address of the model, such as `http://localhost:8500/v1/models/abe`; with
        https the channel is encrypted.
      signature: What is asked.
      label: Label of a version; the newest where `None`.
      timeout: Seconds that a request may take.
      most_mb: Megabytes of an answer at most.
      headers: Sent as metadata, such as `Authorization`.
      ca_file: File of the authorities that a server's certificate is checked against;
        the usual ones where `None`.

    Raises:
      InputError: `ca_file` cannot be read.
    """

    def __init__(
        self,
        url: str,
        signature: str,
        label: str | None,
        timeout: float,
        most_mb: int,
        headers: Mapping[str, str],
        ca_file: str | None,
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        self._shown = without_password(url)
        self._signature, self._timeout = signature, timeout
        match = _PATH.fullmatch(parts.path.rstrip("/"))
        if match is None or "@" in parts.netloc:
            raise InputError(
                "Over gRPC --url must be http://HOST:PORT/v1/models/NAME, with "
                f"/versions/N or /labels/L behind it or not. Received: {self._shown!r}."
                " Passwords go into --header."
            )
        self._name, number, in_path = match.groups()
        self._version = int(number) if number else None
        self._label = label or in_path
        # gRPC's keys are of small letters.
        self._metadata = [(key.lower(), value) for key, value in headers.items()]
        self._most = most_mb * _MB
        options = [("grpc.max_receive_message_length", self._most)]
        target = parts.netloc
        if parts.scheme == "https":
            credentials = grpc.ssl_channel_credentials(_content(ca_file))
            channel = grpc.secure_channel(target, credentials, options)
        else:
            channel = grpc.insecure_channel(target, options)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def __call__(self, encoded: Sequence[bytes]) -> list[Any]:
        """Asks about the bytes of image files.

        Returns:
          An answer an image: an array, or arrays by name where there are several.

        Raises:
          ServerError: The server refuses, or is not there.
        """
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._name
        request.model_spec.signature_name = self._signature
        if self._version is not None:
            request.model_spec.version.value = self._version
        elif self._label:
            request.model_spec.version_label = self._label
        images = tf.make_tensor_proto(np.array(encoded, object), tf.string)
        request.inputs["image_bytes"].CopyFrom(images)
        try:
            answer = self._stub.Predict(
                request, timeout=self._timeout, metadata=self._metadata
            )
        except grpc.RpcError as error:
            status = _STATUS.get(error.code(), 500)
            text = error.details() or f"{self._shown} answered {error.code()}"
            if any(sign in text for sign in _LOST):
                status = 0
            too_long = _TOO_LONG.search(text)
            if too_long:
                # As over REST: a request is halved, an answer is not asked for again.
                is_answer = int(too_long[1]) == self._most
                status = NEVER if is_answer else 413
                text += "; see --answer_mb" if is_answer else ""
            raise ServerError(status, text) from error
        outputs = {
            name: tf.make_ndarray(answer.outputs[name]) for name in answer.outputs
        }
        for name, value in outputs.items():
            if value.ndim == 0 or len(value) != len(encoded):
                rows = list(value) if value.ndim else None
                checked(rows, len(encoded), f"{self._shown}, output {name}", 200)
        if len(outputs) == 1:
            return list(next(iter(outputs.values())))
        return [
            {name: value[image] for name, value in outputs.items()}
            for image in range(len(encoded))
        ]


def _content(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InputError(
            f"--ca_file must be a readable file. Received: {path!r}: {error.strerror}."
        ) from error
