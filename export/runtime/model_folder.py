"""How versions lie in a model folder: complete or not there.

MODEL/1/, MODEL/2/        versions, which are never touched
MODEL/incomplete-.../     being written, or left by an export that was killed; servers
                          pass over what is no integer
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from abe_tf.errors import InputError
from abe_tf.storage import folders
from abe_tf.storage.files import missing_folders
from abe_tf.storage.locks import LOCK, locked

# Of a version: what a server runs before it is available.
WARMUP = os.path.join("assets.extra", "tf_serving_warmup_requests")
# Servers hold it in 64 bits.
_LARGEST = 2**63 - 1


def versions(folder: str) -> list[int]:
    """The versions of a model folder, in order."""
    names = (name for name in os.listdir(folder) if name.isascii())
    # Of equal numbers, such as 1 and 01, it is the one that is written as usual.
    numbers = {
        int(name) for name in names if name.isdecimal() and str(int(name)) == name
    }
    return sorted(number for number in numbers if number <= _LARGEST)


def _open_to_all(folder: str) -> None:
    """Lets a server read that runs as another user, whatever the umask here."""
    os.chmod(folder, 0o755)
    for below, folders_in_it, files in os.walk(folder):
        for name in folders_in_it:
            os.chmod(os.path.join(below, name), 0o755)
        for name in files:
            os.chmod(os.path.join(below, name), 0o644)


@contextlib.contextmanager
def changing(folder: str) -> Iterator[None]:
    """Holds a model folder's lock: nobody publishes a version meanwhile."""
    with locked(os.path.join(folder, LOCK)):
        yield


@contextlib.contextmanager
def incomplete(folder: str) -> Iterator[str]:
    """A folder to write a version in, as `folders.incomplete`.

    Args:
      folder: The model folder, which is made where it does not exist, for everybody
        to read.

    Raises:
      InputError: It cannot be written.
    """
    missing = list(missing_folders(folder))
    with contextlib.ExitStack() as opened:
        try:
            beside = opened.enter_context(folders.incomplete(folder))
            for path in missing:
                os.chmod(path, 0o755)
        except OSError as error:
            raise InputError(
                "--export_dir must be a folder that can be written. "
                f"Received: {folder!r}: {error.strerror}."
            ) from error
        yield beside


def publish(beside: str, version: int | None) -> str:
    """Gives a version that is written its name, once the disk holds all of it.

    Args:
      beside: What `incomplete` gave.
      version: Its number; the next one where `None`.

    Returns:
      Its path.

    Raises:
      InputError: Another export has just taken this number.
    """
    folder = os.path.dirname(beside)
    _open_to_all(beside)
    with folders.publishing(beside):
        number = version or max(versions(folder), default=0) + 1
        path = os.path.join(folder, str(number))
        if os.path.lexists(path):
            raise InputError(
                "--version must be one that does not exist yet. "
                f"Received: {number}, which another export has just written."
            )
        os.rename(beside, path)
    return path
