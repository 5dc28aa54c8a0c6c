"""The page as an application of a web server: addresses, and who may use them."""

from __future__ import annotations

import asyncio
import importlib.resources
import json
from collections.abc import Callable
from typing import Any

import jinja2
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from abe_tf.data.photos import normalised
from abe_tf.errors import InputError
from abe_tf.photo_index.contents import BrokenPhotoError
from abe_tf.photo_index.page import requests
from abe_tf.photo_index.page.library import Library
from abe_tf.photo_index.page.requests import Example, RefusedError
from abe_tf.web import origins
from abe_tf.web.in_flight import FullError, InFlight

# Bytes of a request that is no upload; seconds for any to arrive.
_MOST_JSON, _PATIENCE = 1_000_000, 60
# Uploads of the largest size that are read and decoded at once.
_UPLOADS = 8
_HEADERS = {
    # Nothing from elsewhere, nothing within the page itself, and no page around it.
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
_FILES = {
    "page.js": "text/javascript",
    "view.js": "text/javascript",
    "state.js": "text/javascript",
    "boxing.js": "text/javascript",
    "why.js": "text/javascript",
    "piles.js": "text/javascript",
    "page.css": "text/css",
    "icon.svg": "image/svg+xml",
}


def application(library: Library, host: str, max_upload: int) -> Callable:
    """The application, as uvicorn calls it.

    Args:
      library: Answers.
      host: The address that is listened at.
      max_upload: Bytes of an upload.
    """
    pages = _Pages(library, host, max_upload)
    routes = [
        Route("/", pages.page),
        *(Route(f"/static/{name}", pages.static) for name in _FILES),
        Route("/favicon.ico", pages.icon),
        Route("/api/state", pages.state),
        Route("/api/search", pages.search, methods=["POST"]),
        Route("/api/why", pages.why, methods=["POST"]),
        Route("/api/pile/{view}", pages.pile, methods=["POST"]),
        Route("/api/upload", pages.upload, methods=["POST"]),
        Route("/api/label", pages.label, methods=["POST"]),
        Route("/api/copy", pages.copy, methods=["POST"]),
        Route("/api/list", pages.listed, methods=["POST"]),
        Route("/thumbnail/{number}", pages.thumbnail),
        Route("/photo/{number}", pages.photo),
        Route("/photo/{number}/size", pages.photo_size),
        Route("/upload/{token}", pages.uploaded),
        Route("/upload/{token}/size", pages.upload_size),
    ]
    refusals = {
        RefusedError: lambda _, error: _refusal(error.status, str(error)),
        BrokenPhotoError: lambda _, error: _refusal(
            422, f"the photo cannot be read: {error}"
        ),
        InputError: lambda _, error: _refusal(409, str(error)),
        # Who has gone reads no answer; this is how web servers log it.
        ClientDisconnect: lambda _, error: Response(status_code=499),
    }
    return pages.guarded(Starlette(routes=routes, exception_handlers=refusals))


class _Pages:
    """What each address answers.

    Args:
      library: Library of the index.
      host: The address that is listened at.
      max_upload: Bytes of an upload.
    """

    def __init__(self, library: Library, host: str, max_upload: int) -> None:
        self._library, self._host, self._max_upload = library, host, max_upload
        self._uploading = InFlight(max(1, _UPLOADS * max_upload // 2**20))
        # A photo takes several times its pixels while it is decoded.
        self._decoding = asyncio.Semaphore(2)
        # All pairs of an index take both processors.
        self._comparing = asyncio.Semaphore(1)

    def guarded(self, inner: Callable) -> Callable:
        """An application that foreign pages cannot use."""

        async def outer(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                await inner(scope, receive, send)
                return

            async def sent(message: Any) -> None:
                if message["type"] == "http.response.start":
                    extra = [(k.encode(), v.encode()) for k, v in _HEADERS.items()]
                    message = {**message, "headers": [*message["headers"], *extra]}
                await send(message)

            request = Request(scope)
            try:
                origins.check(request.headers, self._host)
                if request.method == "POST" and "origin" not in request.headers:
                    text = "Only the page itself may ask this"
                    raise origins.ForeignRequestError(text)
            except origins.ForeignRequestError as error:
                await _refusal(403, str(error))(scope, receive, sent)
            else:
                await inner(scope, receive, sent)

        return outer

    async def page(self, request: Request) -> Response:
        """The page, the same for all questions; its script reads the address."""
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("abe_tf.photo_index"), autoescape=True
        )
        text = environment.get_template("page.html").render()
        return Response(text, media_type="text/html")

    async def static(self, request: Request) -> Response:
        """A file of the page."""
        name = request.url.path.rpartition("/")[2]
        files = importlib.resources.files("abe_tf.photo_index.page")
        content = files.joinpath("static", name).read_bytes()
        return Response(content, media_type=_FILES[name])

    async def icon(self, request: Request) -> Response:
        """What browsers ask for whatever the page says."""
        return Response(status_code=204)

    async def state(self, request: Request) -> Response:
        """As `Library.state`."""
        return await self._json(self._library.state)

    async def search(self, request: Request) -> Response:
        """As `Library.search`."""
        question = requests.question(await self._body(request, _MOST_JSON))
        async with self._decoding:
            return await self._json(self._library.search, question)

    async def why(self, request: Request) -> Response:
        """As `Library.why`."""
        example, number = requests.pair(await self._body(request, _MOST_JSON))
        async with self._decoding:
            return await self._json(self._library.why, example, number)

    async def pile(self, request: Request) -> Response:
        """As `Library.pile`."""
        body = requests.parsed(await self._body(request, _MOST_JSON))
        view, sure = request.path_params["view"], requests.sure(body)
        async with self._comparing:
            return await self._json(self._library.pile, view, sure)

    async def upload(self, request: Request) -> Response:
        """As `Library.upload`; the body is the file itself."""
        with self._uploading.counting() as count:
            try:
                content = await self._body(request, self._max_upload, count)
            except FullError as error:
                raise RefusedError(503, f"{error}: try again") from error
            async with self._decoding:
                return await self._json(self._library.upload, content)

    async def label(self, request: Request) -> Response:
        """As `Library.label`."""
        numbers, body = requests.ticked(await self._body(request, _MOST_JSON))
        label = body.get("label")
        if label is not None:
            label = normalised(requests.checked_text(label))
        return await self._json(self._library.label, numbers, label or None)

    async def copy(self, request: Request) -> Response:
        """As `Library.copy`."""
        numbers, body = requests.ticked(await self._body(request, _MOST_JSON))
        to = requests.checked_text(body.get("to")).strip()
        return await self._json(self._library.copy, numbers, to)

    async def listed(self, request: Request) -> Response:
        """As `Library.listed`."""
        numbers, _ = requests.ticked(await self._body(request, _MOST_JSON))
        text = await asyncio.to_thread(self._library.listed, numbers)
        return Response(text, media_type="text/csv")

    async def thumbnail(self, request: Request) -> Response:
        """As `Library.thumbnail`."""
        number = _number(request)
        content = await asyncio.to_thread(self._library.thumbnail, number)
        headers = {"cache-control": "private, max-age=3600"}
        return Response(content, media_type="image/jpeg", headers=headers)

    async def photo(self, request: Request) -> Response:
        """As `Library.large`."""
        return await self._large(Example(_number(request), None, None))

    async def uploaded(self, request: Request) -> Response:
        """As `Library.large`, of a photo that was uploaded."""
        return await self._large(Example(None, request.path_params["token"], None))

    async def photo_size(self, request: Request) -> Response:
        """As `Library.size`."""
        return await self._size(Example(_number(request), None, None))

    async def upload_size(self, request: Request) -> Response:
        """As `Library.size`, of a photo that was uploaded."""
        return await self._size(Example(None, request.path_params["token"], None))

    async def _size(self, example: Example) -> Response:
        async with self._decoding:
            return await self._json(self._library.size, example)

    async def _large(self, example: Example) -> Response:
        async with self._decoding:
            content = await asyncio.to_thread(self._library.large, example)
        return Response(content, media_type="image/jpeg")

    async def _json(self, work: Callable, *arguments: Any) -> Response:
        answer = await asyncio.to_thread(work, *arguments)
        return Response(json.dumps(answer), media_type="application/json")

    async def _body(
        self,
        request: Request,
        most: int,
        count: Callable[[int], object] = lambda _: None,
    ) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(_PATIENCE):
                async for part in request.stream():
                    count(len(part))
                    body += part
                    if len(body) > most:
                        raise RefusedError(413, f"at most {most / 1e6:.0f} MB are read")
        except TimeoutError as error:
            text = f"the request did not arrive within {_PATIENCE} seconds"
            raise RefusedError(408, text) from error
        return bytes(body)


def _number(request: Request) -> int:
    text = request.path_params["number"]
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise RefusedError(404, "the index holds no such photo")
    return int(text)


def _refusal(status: int, text: str) -> Response:
    content = json.dumps({"error": " ".join(text.split())})
    # What was not read of the request would be taken for the next one.
    headers = {"connection": "close"}
    return Response(content, status, headers, "application/json")
