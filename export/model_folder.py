"""How versions lie in a model folder: complete or not there.

MODEL/1/, MODEL/2/        versions, which are never touched
MODEL/incomplete-.../     being written, or left by an export that was killed; servers
                          pass over what is no integer
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator

from abe_tf.errors import InputError
from abe_tf.writing import sync

_INCOMPLETE = "incomplete-"


def versions(folder: str) -> list[int]:
    """The versions of a model folder, in order."""
    return sorted(int(name) for name in os.listdir(folder) if name.isdecimal())


@contextlib.contextmanager
def locked(folder: str, wait: bool = True) -> Iterator[None]:
    """Holds a folder's lock, which the system lets go of when the process dies."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def incomplete(folder: str) -> Iterator[str]:
    """A folder to write a version in; it is gone at the end unless it was published.

    Takes away what exports that were killed have left; one that another export is
    writing stays.

    Args:
      folder: The model folder, which is made where it does not exist.

    Raises:
      InputError: It cannot be written.
    """
    with contextlib.ExitStack() as undo:
        try:
            os.makedirs(folder, exist_ok=True)
            # So that no other export takes the new one for a dead one's.
            with locked(folder):
                _clear_dead(folder)
                beside = tempfile.mkdtemp(prefix=_INCOMPLETE, dir=folder)
                undo.callback(shutil.rmtree, beside, ignore_errors=True)
                undo.enter_context(locked(beside))
        except OSError as error:
            raise InputError(
                "--export_dir must be a folder that can be written. "
                f"Received: {folder!r}: {error.strerror}."
            ) from error
        yield beside


def publish(beside: str, folder: str, version: int | None) -> str:
    """Gives a version that is written its name, once the disk holds all of it.

    Args:
      beside: What `incomplete` gave.
      folder: The model folder.
      version: Its number; the next one where `None`.

    Returns:
      Its path.

    Raises:
      InputError: Another export has just taken this number.
    """
    # mkdtemp lets nobody else in, but a server runs as another user.
    os.chmod(beside, 0o755)
    for path, _, names in os.walk(beside):
        for name in [*names, "."]:
            sync(os.path.join(path, name))
    while True:
        number = version or max(versions(folder), default=0) + 1
        path = os.path.join(folder, str(number))
        try:
            # Fails where another export has just taken this version.
            os.rename(beside, path)
        except OSError as error:
            if not os.path.isdir(path):
                raise
            if version is not None:
                raise InputError(
                    "--version must be one that does not exist yet. "
                    f"Received: {version}, which another export has just written."
                ) from error
            continue
        sync(folder)
        return path


def _clear_dead(folder: str) -> None:
    for name in os.listdir(folder):
        if not name.startswith(_INCOMPLETE):
            continue
        # Another export is writing it, or has just ended.
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            path = os.path.join(folder, name)
            with locked(path, wait=False):
                shutil.rmtree(path)
