"""Keeps web pages of others from a server on the developer's own machine.

A browser lets any page post to any address, and names the page as `Origin`; a page
whose name is made to point here (DNS rebinding) is told by `Host`.
"""

from __future__ import annotations

import ipaddress
import urllib.parse

from starlette.datastructures import Headers


class ForeignRequestError(Exception):
    """A request that a foreign page has made; the text says how that is known."""


def check(headers: Headers, bound_to: str) -> None:
    """Refuses a request that a foreign page has made.

    Args:
      headers: Headers of the request.
      bound_to: Address that the server listens at; where that is this machine's own, a
        request must name this machine.

    Raises:
      ForeignRequestError: It is one.
    """
    host = headers.get("host", "")
    if _is_loopback(bound_to) and host and not _is_loopback(_name(f"//{host}")):
        text = f"The server listens to this machine alone. Received: Host: {host[:100]}"
        raise ForeignRequestError(text)
    origin = headers.get("origin")
    if origin is not None and _place(origin) != host:
        text = f"Pages of others get no answers. Received: Origin: {origin[:100]}"
        raise ForeignRequestError(text)


def _place(address: str) -> str:
    try:
        return urllib.parse.urlsplit(address).netloc or "?"
    except ValueError:
        return "?"


def _name(address: str) -> str:
    try:
        return urllib.parse.urlsplit(address).hostname or ""
    except ValueError:
        # Brackets that do not close.
        return "?"


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
