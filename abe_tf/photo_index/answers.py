"""The forms of an answer: table, JSON, CSV, paths, copies of the files, a page."""

from __future__ import annotations

import base64
import csv
import datetime
import io
import json
import os
import shutil
import sys
from collections.abc import Sequence
from typing import Any

import jinja2

from abe_tf.data.photos import readable
from abe_tf.errors import InputError
from abe_tf.photo_index.contents import BrokenPhotoError, content_of
from abe_tf.photo_index.hits import Hit
from abe_tf.storage import files

_COLUMNS = (
    *("rank", "distance", "unlike", "label", "path", "copies", "time"),
    *("width", "height", "bytes", "camera", "probability"),
)


def as_dict(rank: int, hit: Hit) -> dict[str, Any]:
    """A hit for programs."""
    first, *copies = hit.places
    return {
        "rank": rank,
        "distance": hit.distance,
        "probability": hit.probability,
        "learner_distances": hit.learner_distances.tolist(),
        "like": hit.like,
        "unlike": hit.unlike,
        "label": first.label,
        "path": readable(first.path),
        "copies": [readable(place.path) for place in copies],
        "time": time_text(first.time),
        "width": hit.width,
        "height": hit.height,
        "bytes": hit.bytes,
        "camera": hit.camera,
    }


def time_text(seconds: float) -> str:
    """A time of the camera's clock, ISO 8601."""
    try:
        return datetime.datetime.fromtimestamp(seconds).isoformat(" ", "seconds")
    except (ValueError, OverflowError, OSError):
        return ""


def as_json(hits: Sequence[Hit]) -> str:
    """A list of objects."""
    rows = [as_dict(rank, hit) for rank, hit in enumerate(hits, 1)]
    return json.dumps(rows, indent=2, ensure_ascii=False)


def as_csv(hits: Sequence[Hit]) -> str:
    """A row each; copies are counted."""
    file = io.StringIO()
    writer = csv.DictWriter(file, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for rank, hit in enumerate(hits, 1):
        writer.writerow({**as_dict(rank, hit), "copies": len(hit.places) - 1})
    return file.getvalue().rstrip("\n")


def as_table(hits: Sequence[Hit]) -> str:
    """For people: rank, distance, P(same kind), kind, path and how many copies."""
    lines = []
    is_sure = any(hit.probability is not None for hit in hits)
    width = max((len(hit.places[0].label or "") for hit in hits), default=0)
    for rank, hit in enumerate(hits, 1):
        copies = len(hit.places) - 1
        more = f"  (and {copies:,} {'copy' if copies == 1 else 'copies'})"
        label = readable(hit.places[0].label or "")
        sure = f"{percent(hit.probability):>7}  " if is_sure else ""
        lines.append(
            f"{rank:4}  {hit.distance:.4f}  {sure}{label:{width}}  "
            f"{visible(hit.places[0].path)}{more if copies else ''}"
            f"{'  unlike' if hit.unlike else ''}"
        )
    return "\n".join(lines)


def percent(probability: float | None) -> str:
    """A probability for people; never all or nothing."""
    if probability is None:
        return ""
    if not 0.001 <= probability < 0.9995:
        return ">99.9 %" if probability > 0.5 else "<0.1 %"
    return f"{probability:.1%}".replace("%", " %")


def tell_unreadable(count: int) -> None:
    """Says on standard error how many photos of an index are in none of its lists."""
    if count:
        text = f"{count:,} photos of the index cannot be read, and are in no list"
        print(text, file=sys.stderr)


def visible(path: str) -> str:
    """A path in one line, whatever is in it: terminals obey some characters."""
    text = readable(path)
    return text if text.isprintable() else ascii(text)


def as_paths(hits: Sequence[Hit]) -> bytes:
    """The first photo of each hit, a line each, for other programs."""
    paths = [os.fsencode(hit.places[0].path) for hit in hits]
    broken = [path for path in paths if b"\n" in path]
    if broken:
        raise InputError(
            "--paths needs paths without line breaks. "
            f"Received: {broken[0]!r}. Use --json."
        )
    return b"".join(path + b"\n" for path in paths)


def copy(paths: Sequence[str], folder: str) -> list[str]:
    """Copies photos, whole or not at all, the rank of each before its name.

    Args:
      paths: Paths of the photos, best first.
      folder: Made where it is missing.

    Returns:
      What could not be copied, and why.

    Raises:
      InputError: The folder cannot be written, or holds a file of such a name.
    """
    digits = max(4, len(str(len(paths))))
    targets = [
        os.path.join(folder, f"{rank:0{digits}}_{os.path.basename(path)}")
        for rank, path in enumerate(paths, 1)
    ]
    there = [target for target in targets if os.path.lexists(target)]
    if there:
        raise InputError(
            "Photos must be copied to a folder without such files. "
            f"Received: {folder!r}, with {os.path.basename(there[0])!r}. "
            "Choose another folder."
        )
    failed = []
    try:
        os.makedirs(folder, exist_ok=True)
        for path, target in zip(paths, targets, strict=True):
            try:
                content = content_of(path)
            except BrokenPhotoError as error:
                failed.append(f"{path!r} {error}")
                continue
            files.write_atomically(target, content)
            shutil.copystat(path, target)
    except OSError as error:
        raise InputError(
            "Photos must be copied to a folder that can be written. "
            f"Received: {folder!r}: {error.strerror}."
        ) from error
    return failed


def write_page(
    hits: Sequence[Hit],
    small: Sequence[bytes | None],
    why: Sequence[tuple[bytes, bytes] | None],
    path: str,
) -> None:
    """Writes a page that needs nothing else: thumbnails are in it.

    Args:
      hits: What was found.
      small: Their thumbnails, JPEG files; `None` where one is missing.
      why: What matches of the query and of each hit, PNG files; `None` where nothing
        tells.
      path: Path of the page.

    Raises:
      InputError: It cannot be written.
    """

    def inline(file: bytes) -> str:
        return base64.b64encode(file).decode()

    # Where one is missing, the page says so in its place.
    pictures = [inline(one or b"") for one in small]
    maps = [[inline(one) for one in both or ()] for both in why]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("abe_tf.photo_index"), autoescape=True
    )
    environment.filters["percent"] = percent
    rows = [as_dict(rank, hit) for rank, hit in enumerate(hits, 1)]
    text = environment.get_template("hits.html").render(
        hits=zip(rows, pictures, maps, strict=True)
    )
    files.write_atomically(path, text)
