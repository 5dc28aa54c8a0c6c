"""How files come to lie on disk: whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

from abe_tf.errors import InputError


def write_atomically(path: str, content: str | bytes) -> None:
    """Writes a file beside and renames it, so that no half of it is ever seen.

    Raises:
      InputError: It cannot be written.
    """
    beside = f"{path}.{os.getpid()}.tmp"
    try:
        if isinstance(content, str):
            content = content.encode("utf-8", "surrogateescape")
        with open(beside, "wb") as file:
            file.write(content)
        os.replace(beside, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.remove(beside)
        raise InputError(
            f"A result must be writable. Received: {path!r}: {error.strerror}."
        ) from error


def check_writable(flag: str, path: str) -> None:
    """Tries to write into a folder, making it, and leaves nothing behind.

    Raises:
      InputError: The folder cannot be written.
    """
    try:
        _try_to_write(path)
    except OSError as error:
        raise InputError(
            f"--{flag} must be a folder that can be written. "
            f"Received: {path!r}: {error.strerror}."
        ) from error


def sync(path: str) -> None:
    """Has the disk hold a file, or the names in a folder, before it goes on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _try_to_write(path: str) -> None:
    """Makes the folder and a file in it, and takes away again what was not there."""
    with contextlib.ExitStack() as undo:
        for folder in _missing_folders(path):
            os.mkdir(folder)
            undo.callback(os.rmdir, folder)
        with tempfile.TemporaryFile(dir=path):
            pass


def _missing_folders(path: str) -> Iterator[str]:
    """The folders of a path that do not exist, outermost first."""
    parent = os.path.dirname(os.path.abspath(path))
    if not os.path.exists(path):
        yield from _missing_folders(parent)
        yield path
