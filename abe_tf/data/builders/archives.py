"""Archives as people have them: packed or unpacked, and sometimes damaged."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator

from abe_tf.errors import InputError

_ENDINGS = (".zip", ".tgz", ".tar.gz", ".tar")
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, OSError)


def find(folder: str | os.PathLike, *names: str) -> pathlib.Path | None:
    """The first of some files or folders that exists, packed or not.

    Args:
      folder: Where to look.
      *names: Relative paths; each stands for itself and for an archive of this name.
    """
    for name in names:
        for ending in ("", *_ENDINGS):
            path = pathlib.Path(folder) / (name + ending)
            if path.exists():
                return path
    return None


def require(folder: str | os.PathLike, what: str, *names: str) -> pathlib.Path:
    """`find`, for what must be there.

    Raises:
      InputError: None of the names exists.
    """
    path = find(folder, *names)
    if path is None:
        raise InputError(
            f"--manual_dir must hold {what}. Received: {os.fspath(folder)!r} "
            f"without {' and without '.join(names)} "
            f"({', '.join(_ENDINGS)} or unpacked)."
        )
    return path


def members(path: pathlib.Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """The files of an archive or a folder.

    Args:
      path: The archive, or the unpacked folder.

    Yields:
      Path, and a function that reads the content before the next one is asked for;
      in the archive's order. Paths have slashes; those of a folder begin with its name.

    Raises:
      InputError: The archive is damaged; reading raises it too.
    """
    if path.is_dir():
        files = ((p, p.read_bytes) for p in sorted(path.rglob("*")) if p.is_file())
        for file, read in files:
            yield file.relative_to(path.parent).as_posix(), _guarded(path, read)
        return
    with _damage_named(path):
        for name, read in _zip(path) if path.suffix == ".zip" else _tar(path):
            yield name, _guarded(path, read)


def _guarded(path: pathlib.Path, read: Callable[[], bytes]) -> Callable[[], bytes]:
    def guarded() -> bytes:
        with _damage_named(path):
            return read()

    return guarded


@contextlib.contextmanager
def _damage_named(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise InputError(
            "An archive must be complete. "
            f"Received: {os.fspath(path)!r}: {error}. Fetch it again."
        ) from error


def images(
    sources: Iterable[pathlib.Path], wanted: set[str], depth: int, listed_in: str
) -> Iterator[tuple[str, bytes]]:
    """The images that an annotation lists.

    Args:
      sources: Archives or folders.
      wanted: The last `depth` parts of the paths of the images.
      depth: Number of parts of a path that tell an image; what stands before is left
        out, since people pack with and without outer folders.
      listed_in: The annotation's file, for messages.

    Yields:
      The last parts of the path, and the content.

    Raises:
      InputError: An image is missing, stands there twice, or is empty.
    """
    seen: set[str] = set()
    for source in sources:
        for path, read in members(source):
            name = "/".join(path.split("/")[-depth:])
            if name not in wanted:
                continue
            if name in seen:
                raise InputError(
                    f"Each image must be there once. Received: {name!r} a second time "
                    f"in {os.fspath(source)!r}. Remove one."
                )
            content = read()
            if not content:
                raise InputError(
                    "An image must not be empty. "
                    f"Received: {name!r} in {os.fspath(source)!r}. Fetch it again."
                )
            seen.add(name)
            yield name, content
    missing = sorted(wanted - seen)
    if missing:
        raise InputError(
            f"Every image listed in {listed_in!r} must be there. Received: "
            f"{', '.join(os.fspath(source) for source in sources)} without "
            f"{len(missing)} of {len(wanted)}, the first {missing[0]!r}."
        )


def text_lines(path: pathlib.Path) -> list[str]:
    """The lines of a text file, without empty ones at its end.

    Raises:
      InputError: It is not text in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8").rstrip().split("\n")
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(
            f"An annotation must be readable text. Received: {str(path)!r}: {error}."
        ) from error


def _zip(path: pathlib.Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                yield member.filename, functools.partial(archive.read, member)


def _tar(path: pathlib.Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None:
                yield member.name, file.read
