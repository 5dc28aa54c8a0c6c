"""What each engine is told in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np

from abe_tf.errors import InputError
from abe_tf.photo_index.handing import Handed

# Seconds before each further try of what a lost connection has ended.
_WAITS = (0.5, 1, 2, 4, 8)
T = TypeVar("T")


class Target(Protocol):
    """A database, or what is like one."""

    def states(self) -> Mapping[int, str]:
        """`Handed.state` of what it holds, by `Handed.id`."""

    def put(self, some: Sequence[Handed], embeddings: np.ndarray) -> None:
        """Adds contents, or what they are by now: all of these or none.

        Args:
          some: The contents.
          embeddings: float32 `[contents, learners, dim]`.
        """

    def remove(self, some: Sequence[int]) -> None:
        """Takes contents out."""

    def finish(self) -> str:
        """Does what is left once all is there; says how it is asked."""


def persistently(
    work: Callable[[], T],
    lost: tuple[type[Exception], ...],
    again: Callable[[], None],
    where: str,
) -> T:
    """Does work that may be done twice, once more where a connection is lost.

    Args:
      work: The work.
      lost: What is raised then.
      again: Connects anew.
      where: The target, for messages.

    Raises:
      InputError: The connection stays lost.
    """
    for wait in (*_WAITS, None):
        try:
            return work()
        except lost as error:
            if wait is None:
                text = " ".join(str(error).split())
                raise InputError(
                    f"--at must be a database that answers. Received: {where}: {text}. "
                    "What was handed over is there; --since_last goes on."
                ) from error
            time.sleep(wait)
            try:
                again()
            except lost:
                # The next try says so.
                continue
    raise AssertionError


def missing_package(error: ImportError) -> InputError:
    """What to say where the client of an engine is not installed."""
    return InputError(
        f"--to needs a package that is not here. Received: {error}. Install it: pip "
        "install --require-hashes -r requirements-engines.txt."
    )
