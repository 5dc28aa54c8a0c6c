"""Which photos lie below a folder, and what is left out there; without TensorFlow."""

from __future__ import annotations

import dataclasses
import os
import stat
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence

from abe_tf.data.pixels import kinds

HIDDEN, NO_PHOTO = "hidden", "no photos"
# So many of a kind are named; all are counted.
_NAMED = 50


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A file or folder that is not used, and why."""

    path: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Photos:
    """What lies below a folder.

    Attributes:
      paths: The photos, in order.
      left_out: Everything else.
    """

    paths: list[str]
    left_out: list[LeftOut]


def find(folder: str, seen: set[str] | None = None) -> Photos:
    """Looks through a folder to the bottom, and at the first bytes of each file.

    A photo is what is of a format that is read by its content, whatever its name, or
    what is called like one: that may be broken, and is for others to refuse. Hidden
    files and folders are passed over. Links are followed.

        >>> find("photos").paths
        ['photos/a.jpg', 'photos/b.jpg']

    Args:
      folder: The folder.
      seen: Real paths of folders that are not to be entered; those that are get added.

    Raises:
      OSError: A folder in it cannot be read.
    """
    photos = Photos([], [])
    for path in files(folder, photos.left_out, set() if seen is None else seen):
        if os.path.basename(path).startswith("."):
            photos.left_out.append(LeftOut(path, HIDDEN))
            continue
        reason = why_not(path)
        if reason is None:
            photos.paths.append(path)
        else:
            photos.left_out.append(LeftOut(path, reason))
    return photos


def files(
    folder: str,
    left_out: list[LeftOut],
    seen: set[str],
    why_no_folder: Callable[[str], str | None] = lambda path: None,
) -> Iterator[str]:
    """Files below a folder, those of a folder before those of the folders in it.

    Args:
      folder: The folder.
      left_out: What folders are not entered gets added.
      seen: Real paths of folders, as for `find`.
      why_no_folder: Why one is not entered; `None` where it is.

    Raises:
      OSError: A folder cannot be read.
    """
    reason = why_no_folder(folder)
    if reason is not None:
        left_out.append(LeftOut(folder, reason))
        return
    real = os.path.realpath(folder)
    if real in seen:
        left_out.append(LeftOut(folder, "links to a folder that was seen already"))
        return
    seen.add(real)
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    yield from (entry.path for entry in entries if not is_folder(entry))
    for entry in entries:
        if is_folder(entry):
            if entry.name.startswith("."):
                left_out.append(LeftOut(entry.path, HIDDEN))
            else:
                yield from files(entry.path, left_out, seen, why_no_folder)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one; links to themselves are none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def why_not(path: str) -> str | None:
    """Why a file is no photo that can be used; `None` where it is one."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return "no regular files"
        kind = kinds.kind_of_file(path)
    except OSError as error:
        # What is meant as a photo and cannot be read is a broken one.
        if kinds.is_named_as_photo(path):
            return None
        return f"cannot be read ({error.strerror})"
    is_read = kind in (*kinds.DECODED, *kinds.CONVERTED)
    if is_read or (kind is None and kinds.is_named_as_photo(path)):
        return None
    return NO_PHOTO if kind is None else f"{kind}, a format that is not read"


def tell_left_out(left_out: Sequence[LeftOut], folder: str) -> None:
    """Names and counts on standard error what is not used.

    Args:
      left_out: Files left out of one folder.
      folder: That one, which names are relative to.
    """
    by_reason: dict[str, list[str]] = {}
    for one in left_out:
        is_elsewhere = "://" in one.path
        name = one.path if is_elsewhere else os.path.relpath(one.path, folder)
        by_reason.setdefault(one.reason, []).append(name)
    for reason, names in by_reason.items():
        more = len(names) - _NAMED
        shown = ", ".join(map(repr, names[:_NAMED])) + (
            f" and {more:,} more" if more > 0 else ""
        )
        print(
            f"Left out in {folder}, {reason}: {len(names):,}: {shown}", file=sys.stderr
        )


def normalised(name: str) -> str:
    """A name without what cannot be seen in it.

    White space at its ends goes, white space within becomes one blank, and letters with
    marks take their composed Unicode form (NFC): a Mac stores them decomposed. Bytes
    that are no text are spelled out.
    """
    return unicodedata.normalize("NFC", " ".join(readable(name).split()))


def readable(name: str) -> str:
    """A path as text that any file or picture can hold; other bytes spelled out."""
    return name.encode("utf-8", "backslashreplace").decode()


class Names:
    """Names as `normalised`, and which of them become one so.

    Args:
      what: They are names of.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._given: set[str] = set()

    def __call__(self, name: str) -> str:
        """The name, normalised."""
        self._given.add(name)
        return normalised(name)

    def tell(self) -> None:
        """Says which names are taken for one, on standard error."""
        groups: dict[str, list[str]] = {}
        for name in sorted(self._given):
            groups.setdefault(normalised(name), []).append(name)
        for group in groups.values():
            if len(group) > 1:
                print(
                    f"These {self._what} differ only in what cannot be seen, and are "
                    f"taken for one: {', '.join(map(repr, group))}",
                    file=sys.stderr,
                )
