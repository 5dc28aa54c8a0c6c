"""Locks of the operating system, on open files: free the moment their holder dies.

A lock file stays where it is when its lock is free; what counts is the lock and not the
file. Where a file system has no locks this is said, and nothing is locked.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import sys
from collections.abc import Iterator

# Of folders whose entries several processes make.
LOCK = ".lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_SAID: set[int] = set()


class TakenError(Exception):
    """Another process holds a lock; the text says which, as far as it is known."""


@contextlib.contextmanager
def locked(path: str, wait: bool = True) -> Iterator[bool]:
    """Holds the lock of a file, which is made where it does not exist.

    Args:
      path: The lock file.
      wait: Whether to wait until the lock is free.

    Yields:
      Whether it is held; false where the file system has no locks.

    Raises:
      TakenError: It is not free, and `wait` is false.
      OSError: The file cannot be opened.
    """
    descriptor, held = _acquire(path, wait)
    try:
        yield held
    finally:
        os.close(descriptor)


class Shared:
    """A lock of a folder that many hold at once, until their processes end.

    Args:
      folder: What it is of; two files in it stand for the lock.

    Raises:
      OSError: They cannot be opened.
    """

    def __init__(self, folder: str) -> None:
        self._descriptor = _open(os.path.join(folder, ".readers"))
        self._turn = os.path.join(folder, LOCK)
        self._lock(fcntl.LOCK_SH)

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Keeps others from coming in, where nobody else is.

        Yields:
          Whether that is so; false where the file system has no locks.
        """
        # The system lets go of a lock before it gives the stronger one. Who tries that
        # does so alone, or two could take what the other reads meanwhile.
        with locked(self._turn) as held:
            try:
                yield held and self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB)
            finally:
                self._lock(fcntl.LOCK_SH)

    def _lock(self, how: int) -> bool:
        try:
            fcntl.flock(self._descriptor, how)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return False
        return True


@contextlib.contextmanager
def claimed(path: str) -> Iterator[None]:
    """Holds the lock of a file that tells others who holds it.

    Args:
      path: The lock file.

    Raises:
      TakenError: Another process holds it; the text names process and host.
      OSError: The file cannot be opened.
    """
    descriptor, _ = _acquire(path, wait=False)
    try:
        holder = {"host": socket.gethostname(), "process": os.getpid()}
        # Another user's file cannot be written, and then names the one before.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _acquire(path: str, wait: bool) -> tuple[int, bool]:
    """Opens and locks a file; again where it was removed before the lock was had."""
    while True:
        descriptor = _open(path)
        try:
            held = _lock(descriptor, path, wait)
            if not held or _is_at(descriptor, path):
                return descriptor, held
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        # Another user made it; most file systems lock what is open for reading too.
        return os.open(path, os.O_RDONLY)


def _lock(descriptor: int, path: str, wait: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError as error:
        raise TakenError(_holder(path)) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        folder, device = os.path.dirname(path), os.fstat(descriptor).st_dev
        if device not in _SAID:
            _SAID.add(device)
            print(
                f"The file system of {folder!r} has no locks ({error.strerror}): let "
                "one process at a time write there.",
                file=sys.stderr,
            )
        return False
    return True


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _holder(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            holder = json.load(file)
        return f"process {holder['process']} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        # Not written yet, or of a lock that names nobody.
        return "another process"
