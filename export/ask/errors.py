"""What a server answers instead of a result."""

from __future__ import annotations

# Of HTTP, for which it is worth asking again; 0 where nothing was answered.
AGAIN = (0, 408, 429, 502, 503, 504)
# Nothing was answered, and nothing will be.
NEVER = -1


class ServerError(Exception):
    """What a server answered instead of a result.

    Args:
      status: HTTP's code; 0 where there was no answer, `NEVER` where none can be.
      message: Its words, or what is wrong with its answer.
      pause: Seconds that it asks to wait.

    Attributes:
      status: HTTP status.
      pause: Seconds to wait.
    """

    def __init__(self, status: int, message: str, pause: float = 0.0) -> None:
        super().__init__(printable(message))
        self.status, self.pause = status, pause


def printable(text: str) -> str:
    """A server's words with nothing in them that a terminal would obey."""
    return "".join(
        sign if sign.isprintable() or sign in "\n\t" else repr(sign)[1:-1]
        for sign in text
    )
