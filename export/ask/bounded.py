"""HTTP whose requests end by a time, also where a byte comes now and then."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class _Bounded:
    """A connection that is shut where the head of an answer is not there in time.

    The libraries' own time limit begins anew with each byte.
    """

    sock: Any
    timeout: Any
    _ends: threading.Timer | None = None
    _is_late = False

    def request(self, *arguments: Any, **options: Any) -> None:
        """Sends a request, and starts the clock."""
        self._is_late = False
        self._ends = threading.Timer(self.timeout, self._shut)
        self._ends.daemon = True
        self._ends.start()
        try:
            super().request(*arguments, **options)
        except BaseException:
            self._ends.cancel()
            raise

    def getresponse(self) -> Any:
        """Waits for the head of the answer, and stops the clock."""
        try:
            answer = super().getresponse()
        finally:
            if self._ends is not None:
                self._ends.cancel()
        if self._is_late:
            # What there was of a head looks like all of it.
            raise TimeoutError("the head of the answer is late")
        return answer

    def _shut(self) -> None:
        self._is_late = True
        # It may not be open yet, or not any more. Below any encryption.
        with contextlib.suppress(OSError, AttributeError, TypeError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


class _Http(_Bounded, HTTPConnection):
    pass


class _Https(_Bounded, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


_POOLS = {"http": _HttpPool, "https": _HttpsPool}


class BoundedAdapter(HTTPAdapter):
    """Has a session of `requests` use such connections."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Makes the pools of connections."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        """Makes those of a proxy."""
        manager = super().proxy_manager_for(*arguments, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager
