"""Files wherever Apache Beam reads and writes them."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from abe_tf.errors import InputError
from abe_tf.photo_index.contents import BrokenPhotoError, content_of
from abe_tf.storage.files import write_atomically

_WILD = re.compile(r"[*?\[]")
_AS_IT_IS = CompressionTypes.UNCOMPRESSED


def is_local(path: str) -> bool:
    """Whether a path is one of this machine's."""
    return "://" not in path


def read(path: str) -> bytes:
    """The bytes of a file.

    Raises:
      BrokenPhotoError: It cannot be read.
    """
    if is_local(path):
        return content_of(path)
    try:
        with FileSystems.open(path, compression_type=_AS_IT_IS) as file:
            return file.read()
    except (OSError, BeamIOError, ValueError) as error:
        raise BrokenPhotoError(f"cannot be read: {error}") from error


def stamp(path: str) -> int:
    """When a file was changed last, nanoseconds since 1970; 0 where nothing tells."""
    try:
        if is_local(path):
            return os.stat(path).st_mtime_ns
        seconds = FileSystems.match([path])[0].metadata_list[0]
        return int((seconds.last_updated_in_seconds or 0) * 1e9)
    except (OSError, BeamIOError, IndexError):
        return 0


def matching(pattern: str) -> Iterator[str]:
    """The files that a glob finds, in order.

    Raises:
      InputError: They cannot be looked for.
    """
    try:
        found = FileSystems.match([pattern])[0].metadata_list
    except (OSError, BeamIOError, ValueError) as error:
        raise InputError(
            "A glob must be of a file system that can be looked through. "
            f"Received: {pattern!r}: {error}."
        ) from error
    yield from sorted(one.path for one in found)


def matches(pattern: str) -> Callable[[str], bool]:
    """Tells whether a path is one that a glob finds."""
    files = FileSystems.get_filesystem(pattern)
    with warnings.catch_warnings():
        # Of the brackets that `literal` sets.
        warnings.simplefilter("ignore", FutureWarning)
        wanted = re.compile(files.translate_pattern(pattern))
    return lambda path: wanted.match(path) is not None


def exists(path: str) -> bool:
    """Whether there is a file.

    Raises:
      InputError: That cannot be told.
    """
    try:
        return FileSystems.exists(path)
    except (OSError, BeamIOError, ValueError) as error:
        raise InputError(
            "A path must be of a file system that can be looked at. "
            f"Received: {path!r}: {error}."
        ) from error


def is_glob(path: str) -> bool:
    """Whether a path has wild cards."""
    return _WILD.search(path) is not None


def before_wild(glob: str) -> str:
    """What stands before the first wild card."""
    return _WILD.split(glob, maxsplit=1)[0]


def literal(path: str) -> str:
    """A glob of a path in which no character is a wild card."""
    return _WILD.sub(r"[\g<0>]", path)


def write(path: str, content: bytes | str) -> None:
    """Writes a file, whole or not at all.

    Raises:
      InputError: It cannot be written.
    """
    try:
        if is_local(path):
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            write_atomically(path, content)
            return
        content = content.encode() if isinstance(content, str) else content
        beside = f"{path}.{uuid.uuid4().hex}.tmp"
        with FileSystems.create(beside, compression_type=_AS_IT_IS) as file:
            file.write(content)
        FileSystems.rename([beside], [path])
    except (OSError, BeamIOError, ValueError) as error:
        raise InputError(
            f"--output must begin names that can be written. Received: {path!r}: "
            f"{error}."
        ) from error


def remove(path: str) -> None:
    """Takes a file away.

    Raises:
      InputError: It cannot be removed.
    """
    try:
        FileSystems.delete([path])
    except (OSError, BeamIOError) as error:
        raise InputError(
            f"--output must begin names of files that can be removed. Received: "
            f"{path!r}: {error}."
        ) from error


@contextlib.contextmanager
def on_this_machine(folder: str) -> Iterator[str]:
    """A folder where it lies, or else a copy of it for as long as it is needed.

    Raises:
      InputError: It is empty, or cannot be read.
    """
    if is_local(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory() as here:
        _copy_folder(folder, here)
        yield here


def _copy_folder(folder: str, to: str) -> None:
    """Copies all files below a folder onto this machine.

    Raises:
      InputError: It is empty, or cannot be read.
    """
    prefix = folder.rstrip("/") + "/"
    count = 0
    for count, path in enumerate(matching(literal(prefix) + "**"), 1):  # noqa: B007
        target = os.path.join(to, path.removeprefix(prefix))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            content = read(path)
        except BrokenPhotoError as error:
            raise InputError(
                f"--model_dir must be readable. Received: {path!r}: {error}."
            ) from error
        with open(target, "wb") as file:
            file.write(content)
    if not count:
        raise InputError(
            "--model_dir must be a folder that export.saved_model wrote. "
            f"Received: {folder!r}, without a file."
        )
