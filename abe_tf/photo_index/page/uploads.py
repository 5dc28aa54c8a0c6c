"""Photos that were uploaded, kept while the server runs; the oldest go first."""

from __future__ import annotations

import collections
import threading

from abe_tf.photo_index.contents import digest_of


class Uploads:
    """Files by token, which is made of their content.

    Args:
      most_bytes: Bytes of all together at most; one alone is kept however large it is.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most, self._lock = most_bytes, threading.Lock()
        self._files: collections.OrderedDict[str, bytes] = collections.OrderedDict()

    def add(self, content: bytes) -> str:
        """Keeps a file; its token, 32 hexadecimal digits."""
        token = digest_of(content).hex()[:32]
        with self._lock:
            self._files[token] = content
            self._files.move_to_end(token)
            while len(self._files) > 1 and sum(map(len, self._files.values())) > (
                self._most
            ):
                self._files.popitem(last=False)
        return token

    def get(self, token: str) -> bytes | None:
        """A file; `None` where it is not kept any more."""
        with self._lock:
            if token in self._files:
                self._files.move_to_end(token)
            return self._files.get(token)
