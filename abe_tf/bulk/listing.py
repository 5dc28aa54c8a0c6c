"""Which photos are embedded: what a glob finds, or a list names."""

from __future__ import annotations

import csv
import hashlib
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator

from abe_tf.bulk import store
from abe_tf.data import tables
from abe_tf.data.photos import HIDDEN, LeftOut, Names, files, why_not
from abe_tf.errors import InputError
from abe_tf.photo_index import walking
from abe_tf.photo_index.contents import BrokenPhotoError
from abe_tf.retrieval import shards

Listed = tuple[str, str]


def listed(given: str, labels: str, output: str) -> tuple[list[Listed], list[LeftOut]]:
    """The photos, each with what kind it shows, "" where nothing tells.

    Args:
      given: A glob, a folder, or a CSV file.
      labels: "folders" or "none"; of a list the column tells.
      output: What the names of all that is written begin with, which is no photo.

    Returns:
      Path and label of each, and what a glob found and is left out.

    Raises:
      InputError: There is none, or a list names a photo twice.
    """
    names = Names("labels")
    if given.lower().endswith(".csv") and not store.is_glob(given):
        found = list(_of_list(given, names))
        names.tell()
        return found, []
    if store.is_local(given):
        given = os.path.abspath(given)
    pattern, root = _pattern(given)
    photos: list[Listed] = []
    left_out: list[LeftOut] = []
    is_ours = _written(output)
    lying = _local(root, pattern, left_out) if store.is_local(given) else None
    for path in store.matching(pattern) if lying is None else lying:
        below = path.removeprefix(root)
        if is_ours(path):
            continue
        if any(part.startswith(".") for part in below.split("/")):
            left_out.append(LeftOut(path, HIDDEN))
        elif not _is_text(path):
            left_out.append(LeftOut(path, "of a name that is no text in UTF-8"))
        else:
            folder, inside, _ = below.partition("/")
            is_labelled = labels == "folders" and inside
            photos.append((path, names(folder) if is_labelled else ""))
    names.tell()
    if not photos:
        raise InputError(
            "--input must find photos: a glob in quotes, a folder, or a CSV file. "
            f"Received: {given!r}, which finds none."
        )
    return photos, left_out


def digest(photos: Iterable[Listed]) -> str:
    """What tells a list from all others, hexadecimal."""
    found = hashlib.sha256()
    for path, label in photos:
        found.update(f"{path}\0{label}\n".encode("utf-8", "surrogateescape"))
    return found.hexdigest()


def _written(output: str) -> Callable[[str], bool]:
    """Tells what this command writes from photos."""
    prefix = re.escape(os.path.abspath(output) if store.is_local(output) else output)
    endings = "|".join(map(re.escape, (shards.PARQUET, shards.BROKEN, shards.LIST)))
    ours = re.compile(
        rf"{prefix}(-\d{{5,}}({endings})|{re.escape(shards.MANIFEST)})"
        r"(\.[0-9a-f]{32}\.tmp)?"
    )
    return lambda path: ours.fullmatch(path) is not None


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _local(root: str, pattern: str, left_out: list[LeftOut]) -> Iterator[str]:
    """The photos of this machine that a glob finds, in order, as an index has them.

    Raises:
      InputError: A folder cannot be read.
    """
    matches = store.matches(pattern)
    try:
        found = list(files(root, left_out, set(), walking.why_no_folder))
    except OSError as error:
        raise InputError(
            "Each folder of --input must be readable. "
            f"Received: {error.filename!r}: {error.strerror}."
        ) from error
    for path in sorted(filter(matches, found)):
        reason = None
        if not os.path.basename(path).startswith("."):
            reason = why_not(path)
        if reason is None:
            yield path
        else:
            left_out.append(LeftOut(path, reason))


def _pattern(given: str) -> tuple[str, str]:
    """A glob, and the folder that it looks through, with a slash at its end."""
    is_folder = store.is_local(given) and os.path.isdir(given)
    if is_folder or not store.is_glob(given):
        folder = given.rstrip("/")
        return store.literal(folder) + "/**", f"{folder}/"
    return given, store.before_wild(given).rpartition("/")[0] + "/"


def _of_list(path: str, names: Names) -> Iterator[Listed]:
    try:
        columns, rows = tables.parsed(store.read(path))
    except (BrokenPhotoError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"--input must be a CSV file in UTF-8. Received: {path!r}: {error}."
        ) from error
    if "path" not in columns:
        raise InputError(
            f"--input must have the column path. Received: {path!r} with "
            f"{', '.join(columns) or 'no column'}."
        )
    if store.is_local(path):
        path = os.path.abspath(path)
    folder, seen = posixpath.dirname(path), set()
    for number, row in rows:
        given = row["path"] or ""
        photo = _joined(folder, given)
        if not given or "\0" in given or photo in seen:
            what = f"{photo!r} again" if photo in seen else f"{given!r}"
            raise InputError(
                "Each row of --input must name a path, and none twice. "
                f"Received: {path}, line {number}: {what}."
            )
        seen.add(photo)
        yield photo, names(row.get("label") or "")
    if not seen:
        raise InputError(f"--input must list photos. Received: {path!r}, empty.")


def _joined(folder: str, path: str) -> str:
    """A path of a list, whole."""
    if not store.is_local(path):
        return path
    scheme, separator, place = folder.rpartition("://")
    return scheme + separator + posixpath.normpath(posixpath.join(place, path))
