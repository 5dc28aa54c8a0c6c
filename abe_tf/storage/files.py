"""How files come to lie on disk: whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import uuid
from collections.abc import Iterator
from typing import BinaryIO

from abe_tf.errors import InputError


@contextlib.contextmanager
def writing(path: str) -> Iterator[BinaryIO]:
    """A file to write, which is renamed to its path once the disk holds all of it.

    Where anything fails, what was at the path is still there, and nothing beside it.

    Args:
      path: Path of the file, in a folder that exists.

    Yields:
      The file, open for writing under a name that no other process can have.

    Raises:
      InputError: It cannot be written.
    """
    folder = os.path.dirname(path) or "."
    beside = os.path.join(folder, f".{uuid.uuid4().hex}.tmp")
    try:
        try:
            with open(beside, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
            sync(folder)
        finally:
            with contextlib.suppress(OSError):
                os.remove(beside)
    except OSError as error:
        raise InputError(
            f"A result must be writable. Received: {path!r}: {error.strerror or error}."
        ) from error


def write_atomically(path: str, content: str | bytes) -> None:
    """Writes a file at once, so that no half of it is ever seen.

    Raises:
      InputError: It cannot be written.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogateescape")
    with writing(path) as file:
        file.write(content)


def read_text(path: str) -> str:
    """Text as `write_atomically` wrote it.

    Bytes that are no UTF-8, as paths may have, and every end of a line are kept.

    Raises:
      OSError: It cannot be read.
    """
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return file.read()


def read_lines(path: str) -> list[str]:
    """The lines of such a text: whatever else ends a line elsewhere is kept in them.

    Raises:
      OSError: It cannot be read.
    """
    return read_text(path).removesuffix("\n").split("\n")


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


def check_place(flag: str, path: str) -> None:
    """Refuses a place of weights that TensorFlow could write, and not read again.

    Its paths are UTF-8, and it looks for a checkpoint, also that in a SavedModel, by
    the path as a pattern.

    Raises:
      InputError: The path is no UTF-8, or not what it means as a pattern.
    """
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"--{flag} must be UTF-8: TensorFlow writes to no other place. "
            f"Received: {path!r}. Rename the folder, or choose another."
        ) from error
    if re.search(r"\\|\[[^/]*\]", path):
        raise InputError(
            f"--{flag} must be without backslashes, and without [ and ] around a part "
            "of a name: TensorFlow takes them for a pattern and does not find weights "
            f"there. Received: {path!r}. Rename the folder, or choose another."
        )


def sync(path: str) -> None:
    """Has the disk hold a file, or the names in a folder, before it goes on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def made(path: str) -> Iterator[None]:
    """Makes a folder and those that it lies in; at the end, those that are empty go.

    Raises:
      OSError: One cannot be made.
    """
    with contextlib.ExitStack() as undo:
        for folder in missing_folders(path):
            os.makedirs(folder, exist_ok=True)
            undo.callback(_remove_empty, folder)
        yield


def _remove_empty(folder: str) -> None:
    # Somebody has put something in, or has taken it away already.
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def _try_to_write(path: str) -> None:
    """Makes the folder and a file in it, and takes away again what was not there."""
    with made(path), tempfile.TemporaryFile(dir=path):
        pass


def missing_folders(path: str) -> Iterator[str]:
    """The folders of a path that do not exist, outermost first."""
    parent = os.path.dirname(os.path.abspath(path))
    if not os.path.exists(path):
        yield from missing_folders(parent)
        yield path
