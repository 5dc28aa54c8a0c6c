"""TensorFlow Serving's REST interface as an application of a web server."""

from __future__ import annotations

import asyncio
import concurrent.futures
import datetime
import json
import logging
import re
import sys
import time
import uuid
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import prometheus_client
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from abe_tf.web import origins
from abe_tf.web.head_limits import Connections
from abe_tf.web.in_flight import FullError, InFlight
from export.config.server import ServerConfig
from export.runtime import c_api, c_library
from export.server import answers, metrics, rest
from export.server.values import RequestError
from export.server.versions import Version, Versions

_WHICH = r"/v1/models/([^/:?]+)(?:/versions/(\d{1,18})|/labels/([^/:?]+))?"
_PREDICT = re.compile(_WHICH + r":(predict|classify|regress)")
_LOOK = re.compile(_WHICH + r"(/metadata)?")
# Bytes; less takes about a millisecond to read or write.
_AT_ONCE = 32 * 1024
_VERBS = {"classify": "classification", "regress": "regression"}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
# Statuses as gRPC calls them, for what is counted.
_NAMES = {
    **{status: answers.CODES[code] for code, status in reversed(rest.STATUS.items())},
    200: "OK",
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    499: "CANCELLED",
    500: "INTERNAL",
}
_LOG = logging.getLogger("uvicorn.error")


class Server:
    """The application, as uvicorn calls it.

    Args:
      versions: What is served.
      options: Names and limits.
      connections: What the connections share.
    """

    def __init__(
        self, versions: Versions, options: ServerConfig, connections: Connections
    ) -> None:
        self._versions, self._options = versions, options
        self._connections = connections
        self._metrics = metrics.Metrics(options.model_name)
        self._in_flight = InFlight(options.max_in_flight_mb)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI's entry."""
        if scope["type"] != "http":
            return
        request, start = Request(scope, receive), time.monotonic()
        headers = {
            "content-type": "application/json",
            "x-request-id": _request_id(request),
        }
        try:
            status, body = 200, await self._answer(request, headers)
        except RequestError as error:
            status, body = error.status, answers.error_body(str(error))
        except ClientDisconnect:
            # As web servers log it.
            self._tell(request, headers, 499, 0, start)
            return
        except Exception:
            _LOG.exception("a request failed")
            status, body = 500, answers.error_body("Internal error; see the log")
        if status == 503 or not getattr(request.state, "read", _is_empty(request)):
            # What was not read would be taken for the next request.
            headers["connection"] = "close"
        await Response(body, status, headers)(scope, receive, send)
        self._tell(request, headers, status, len(body), start)

    def _tell(
        self,
        request: Request,
        headers: dict[str, str],
        status: int,
        size: int,
        start: float,
    ) -> None:
        """Counts a request, and logs it where that is asked for."""
        seconds = time.monotonic() - start
        if request.url.path.endswith(":predict"):
            self._metrics.answered(_NAMES.get(status, "UNKNOWN"), seconds)
        if self._options.access_log:
            line = {
                "time": f"{datetime.datetime.now(datetime.UTC):%FT%T.%fZ}",
                "request_id": headers["x-request-id"],
                "client": request.client.host if request.client else "",
                "method": request.method,
                "path": request.scope["raw_path"].decode("latin-1"),
                "status": status,
                "bytes": size,
                "milliseconds": round(1e3 * seconds, 3),
            }
            print(json.dumps(line), file=sys.stderr, flush=True)

    async def _answer(self, request: Request, headers: dict[str, str]) -> str | bytes:
        path = request.scope["raw_path"].decode("latin-1")
        query = request.scope["query_string"].decode("latin-1")
        full = f"{path}?{query}" if query else path
        method = request.method
        if self._connections.open > self._options.max_connections:
            text = f"There are {self._options.max_connections} connections already"
            raise RequestError(503, text)
        try:
            origins.check(request.headers, self._options.host)
        except origins.ForeignRequestError as error:
            raise RequestError(403, str(error)) from error
        if method == "POST" and (match := _PREDICT.fullmatch(full)):
            name, number, label, verb = match.groups()
            with self._in_flight.counting() as count:
                try:
                    body = await self._body(request, count)
                except FullError as error:
                    raise RequestError(503, str(error)) from error
                return await self._predict(request, body, name, number, label, verb)
        if method == "GET" and (match := _LOOK.fullmatch(full)):
            return self._look(*match.groups())
        if method == "GET" and full == "/v1/models":
            raise RequestError(400, "Missing model name in request.")
        if method == "GET" and path == metrics.ADDRESS:
            headers["content-type"] = prometheus_client.CONTENT_TYPE_LATEST
            return self._metrics.text()
        raise RequestError(400, f"Malformed request: {method} {full}")

    async def _body(self, request: Request, count: Callable[[int], None]) -> bytes:
        """Reads a request, never more than is allowed and not for ever."""
        try:
            async with asyncio.timeout(self._options.request_seconds):
                body = await self._read(request, count)
        except TimeoutError as error:
            seconds = self._options.request_seconds
            text = f"The request did not arrive within {seconds} seconds"
            raise RequestError(408, text) from error
        request.state.read = True
        if request.headers.get("content-encoding", "").lower() != "gzip":
            return body
        # However small it is, it may unpack to much.
        unpacked = await asyncio.to_thread(self._unpack, body)
        count(len(unpacked))
        return unpacked

    def _unpack(self, body: bytes) -> bytes:
        try:
            unpacking = zlib.decompressobj(wbits=31)
            unpacked = unpacking.decompress(body, self._limit())
        except zlib.error as error:
            raise RequestError(400, f"Unable to decompress: {error}") from error
        if unpacking.unconsumed_tail:
            raise self._too_large()
        if not unpacking.eof:
            raise RequestError(400, "Unable to decompress: it ends too early")
        return unpacked

    async def _read(self, request: Request, count: Callable[[int], None]) -> bytes:
        if int(request.headers.get("content-length") or 0) > self._limit():
            raise self._too_large()
        body = bytearray()
        async for part in request.stream():
            count(len(part))
            body += part
            if len(body) > self._limit():
                raise self._too_large()
        return bytes(body)

    def _limit(self) -> int:
        return self._options.max_request_mb * 2**20

    def _too_large(self) -> RequestError:
        text = f"A request must have at most {self._options.max_request_mb} MB"
        return RequestError(413, text)

    async def _predict(
        self,
        sender: Request,
        body: bytes,
        name: str,
        number: str | None,
        label: str | None,
        verb: str,
    ) -> str:
        request = await _aside(len(body), rest.parse, body)
        wanted = None if number is None else int(number)
        if name != self._options.model_name:
            which = (
                f"Latest({name})" if number is None else f"Specific({name}, {number})"
            )
            raise RequestError(404, f"Servable not found for request: {which}")
        with self._versions.use(wanted, label) as (_, version):
            if verb != "predict":
                raise _no_such_verb(request, version, verb)
            return await self._run(sender, request, version, len(body))

    async def _run(
        self,
        sender: Request,
        request: dict[str, Any],
        version: Version,
        size_of_body: int,
    ) -> str:
        name = rest.signature_of(request, version.signatures)
        signature = version.signatures[name]
        feeds, by_rows = await _aside(
            size_of_body, rest.feeds_of, request, signature, self._options.max_rows
        )
        size = max((_rows(value) for value in feeds.values()), default=0)
        start = time.monotonic()
        try:
            done = version.batcher.submit(name, feeds, size)
            outputs = await _unless_gone(done, sender)
        except c_library.GraphError as error:
            raise rest.refusal(error) from error
        self._metrics.ran(time.monotonic() - start)
        numbers = sum(value.nbytes for value in outputs.values())
        return await _aside(16 * numbers, answers.answer, outputs, by_rows)

    def _look(
        self, name: str, number: str | None, label: str | None, what: str | None
    ) -> str:
        wanted = None if number is None else int(number)
        if name != self._options.model_name:
            text = f"Could not find any versions of model {name}"
            raise RequestError(404, text)
        if what is None:
            states = self._versions.states(wanted, label)
            if not states:
                text = f"Could not find any versions of model {name}"
                raise RequestError(404, text)
            return answers.status(states)
        with self._versions.use(wanted, label) as (model, version):
            return answers.metadata(name, model, version.signatures)


def _no_such_verb(request: dict[str, Any], version: Version, verb: str) -> RequestError:
    name = request.get("signature_name") or "serving_default"
    if name not in version.signatures:
        return RequestError(400, f"No signature was found with the name: {name}")
    return RequestError(
        400,
        f"Expected {_VERBS[verb]} signature method_name to be tensorflow/serving/"
        f"{verb}. Was: {version.signatures[name].method_name}",
    )


async def _unless_gone(done: concurrent.futures.Future, sender: Request) -> Any:
    """What comes of a run; nothing where the sender hangs up, who runs no more then.

    Raises:
      ClientDisconnect: The sender is gone.
    """
    result = asyncio.wrap_future(done)
    gone = asyncio.ensure_future(_hangs_up(sender))
    try:
        await asyncio.wait({result, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            # It is left out of the batch, if it is not running yet.
            result.cancel()
            raise ClientDisconnect
        return result.result()
    finally:
        gone.cancel()


async def _hangs_up(sender: Request) -> None:
    """Ends when the sender of a request, which has come whole, is gone."""
    while (await sender.receive())["type"] != "http.disconnect":
        pass


def _request_id(request: Request) -> str:
    """The sender's name for a request, or a new one."""
    given = request.headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _is_empty(request: Request) -> bool:
    """Whether a request has no body."""
    headers = request.headers
    length = headers.get("content-length", "0")
    return length == "0" and "transfer-encoding" not in headers


async def _aside(size: int, work: Callable[..., Any], *arguments: Any) -> Any:
    """Large work in a thread, or nobody else would be heard; small work at once."""
    if size <= _AT_ONCE:
        return work(*arguments)
    return await asyncio.to_thread(work, *arguments)


def _rows(value: c_api.Value) -> int:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return 0
    return len(value)
