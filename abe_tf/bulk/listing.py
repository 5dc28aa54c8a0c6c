"""Which photos are embedded: what a glob finds, or a list names."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import posixpath
from collections.abc import Iterable, Iterator

from abe_tf.bulk import store
from abe_tf.data.photos import HIDDEN, LeftOut, normalised
from abe_tf.errors import InputError
from abe_tf.photo_index.contents import BrokenPhotoError

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
    if given.lower().endswith(".csv") and not store.is_glob(given):
        return list(_of_list(given)), []
    if store.is_local(given):
        given = os.path.abspath(given)
    pattern, root = _pattern(given)
    photos: list[Listed] = []
    left_out: list[LeftOut] = []
    written = os.path.abspath(output) if store.is_local(output) else output
    for path in store.matching(pattern):
        if path.startswith((f"{written}-", f"{written}.")):
            continue
        below = path.removeprefix(root)
        if any(part.startswith(".") for part in below.split("/")):
            left_out.append(LeftOut(path, HIDDEN))
            continue
        folder, inside, _ = below.partition("/")
        is_labelled = labels == "folders" and inside
        photos.append((path, normalised(folder) if is_labelled else ""))
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


def _pattern(given: str) -> tuple[str, str]:
    """A glob, and the folder that it looks through, with a slash at its end."""
    is_folder = store.is_local(given) and os.path.isdir(given)
    if is_folder or not store.is_glob(given):
        folder = given.rstrip("/")
        return store.literal(folder) + "/**", f"{folder}/"
    return given, store.before_wild(given).rpartition("/")[0] + "/"


def _of_list(path: str) -> Iterator[Listed]:
    try:
        text = store.read(path).decode("utf-8-sig")
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        columns = set(rows.fieldnames or ())
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
    for number, row in enumerate(rows, 2):
        photo = row["path"] or ""
        if not photo or photo in seen:
            what = f"{photo!r} again" if photo else "no path"
            raise InputError(
                "Each row of --input must name a path, and none twice. "
                f"Received: {path}, line {number}: {what}."
            )
        seen.add(photo)
        if store.is_local(photo):
            photo = posixpath.normpath(posixpath.join(folder, photo))
        yield photo, normalised(row.get("label") or "")
    if not seen:
        raise InputError(f"--input must list photos. Received: {path!r}, empty.")
