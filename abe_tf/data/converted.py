"""A folder of converted photos, by the content of those that they were made from.

Training and evaluation read from it what their graph does not decode. The same photo
under another name, or in another data set, is converted once.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import hashlib
import os
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from abe_tf.data.examples import Examples, reader
from abe_tf.data.pixels import kinds
from abe_tf.data.pixels.conversion import RULE, ConversionError, as_png
from abe_tf.data.unreadable import Unreadable
from abe_tf.errors import InputError
from abe_tf.storage.files import write_atomically
from abe_tf.storage.locks import Shared

_GB = 1e9
# Looked at at once; and converted before it is asked how large they have become.
_THREADS, _PORTION = 16, 64
# Of this process, until it ends, by folder: the lock that keeps others from removing
# what it reads, and what that is.
_IN_USE: dict[str, Shared] = {}
_READ: dict[str, set[str]] = collections.defaultdict(set)


def default_folder() -> str:
    """Where converted photos lie if no flag says it."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(root, "abe_tf", "converted")


@dataclasses.dataclass(frozen=True)
class ConvertedPhotos:
    """The folder.

    Attributes:
      folder: Where it is.
      gigabytes: How large it may become.
      max_pixels: A larger photo is refused.
    """

    folder: str
    gigabytes: float
    max_pixels: int

    def convert(self, examples: Examples) -> tuple[Examples, list[Unreadable]]:
        """Has examples read converted files where the graph cannot decode theirs.

        Args:
          examples: The images, of files or not.

        Returns:
          The examples, and those that cannot be converted.

        Raises:
          InputError: The folder cannot be written, or holds too little.
        """
        files = examples.files
        if files is None:
            return examples, []
        with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
            needed = list(pool.map(_needs_conversion, files))
        positions = [position for position, is_so in enumerate(needed) if is_so]
        if not positions:
            return examples, []
        print(
            f"Reading {len(positions):,} of {len(files):,} photos through "
            f"{self.folder!r}, converted.",
            file=sys.stderr,
        )
        with self._errors_named():
            self._open()
            made = list(self._all_converted([files[i] for i in positions]))
            self._make_room()
        paths, broken = list(files), []
        for position, outcome in zip(positions, made, strict=True):
            if isinstance(outcome, ConversionError):
                name = str(examples.names[position])
                broken.append(Unreadable(position, name, f"{outcome}"))
            else:
                paths[position] = outcome
        keys = np.arange(len(paths))
        converted = dataclasses.replace(
            examples, keys=keys, files=paths, read=reader(paths)
        )
        return converted, broken

    @contextlib.contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                "--cache_dir must be a folder that can be written. "
                f"Received: {self.folder!r}: {error.strerror}."
            ) from error

    def _open(self) -> None:
        os.makedirs(self.folder, exist_ok=True)
        if self.folder not in _IN_USE:
            _IN_USE[self.folder] = Shared(self.folder)

    def _all_converted(self, paths: Sequence[str]) -> Iterator[str | ConversionError]:
        """Converts in portions, as long as there is room for all that is read."""
        read, made = set(_READ[self.folder]), list[str]()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for start in range(0, len(paths), _PORTION):
                due = paths[start : start + _PORTION]
                portion = list(pool.map(lambda path: self._converted(path, made), due))
                read.update(one for one in portion if isinstance(one, str))
                if (size := sum(map(os.path.getsize, read))) > self.gigabytes * _GB:
                    for path in made:
                        os.remove(path)
                    raise InputError(
                        "--cache_gb must hold the photos that are converted. Received: "
                        f"{self.gigabytes:g}, and {size / _GB:.3g} GB after "
                        f"{start + len(portion):,} of {len(paths):,}. Raise it, or "
                        "convert them to JPEG or PNG yourself."
                    )
                yield from portion
        _READ[self.folder] = read

    def _converted(self, path: str, made: list[str]) -> str | ConversionError:
        """Path of the converted file, which is made where it does not exist.

        Args:
          path: Path of the photo.
          made: Gets the path of a file that was made.
        """
        try:
            with open(path, "rb") as file:
                encoded = file.read()
        except OSError as error:
            return ConversionError(f"cannot be read: {error.strerror}")
        name = f"{hashlib.sha256(encoded).hexdigest()}-{RULE}.png"
        target = os.path.join(self.folder, name)
        try:
            pixels = _pixels(target)
        except FileNotFoundError:
            try:
                png = as_png(encoded, self.max_pixels)
            except ConversionError as error:
                return error
            write_atomically(target, png)
            made.append(target)
            return target
        if pixels > self.max_pixels:
            return ConversionError(
                f"an image must have at most {self.max_pixels} pixels, not {pixels}"
            )
        # The newest are the last to be removed; another user's file is read as it is.
        with contextlib.suppress(PermissionError):
            os.utime(target)
        return target

    def _make_room(self) -> None:
        """Removes the oldest files until the rest is small enough, and says so."""
        most, read = self.gigabytes * _GB, _READ[self.folder]
        if sum(size for _, size, _ in self._files()) <= most:
            return
        removed = 0
        with _IN_USE[self.folder].alone() as is_alone:
            # Anew: until the lock was had, others may have used some.
            files = sorted(self._files())
            size = sum(size for _, size, _ in files)
            for _, bytes_of_it, path in files if is_alone else ():
                if size <= most:
                    break
                if path not in read:
                    os.remove(path)
                    size, removed = size - bytes_of_it, removed + 1
        done = f"Removed the {removed:,} oldest files"
        if not is_alone:
            done = "Others may read from it: nothing is removed"
        print(
            f"{done} from {self.folder!r}, which holds {size / _GB:.3g} GB now "
            f"(--cache_gb={self.gigabytes:g}).",
            file=sys.stderr,
        )

    def _files(self) -> Iterator[tuple[float, int, str]]:
        """When each converted file was used last, its bytes, its path."""
        for entry in os.scandir(self.folder):
            if entry.name.endswith(".png"):
                with contextlib.suppress(FileNotFoundError):
                    stat = entry.stat()
                    yield stat.st_mtime, stat.st_size, entry.path


def _pixels(path: str) -> int:
    """Of a PNG file, by its header.

    Raises:
      FileNotFoundError: There is none.
    """
    with open(path, "rb") as file:
        header = file.read(24)
    return int.from_bytes(header[16:20], "big") * int.from_bytes(header[20:], "big")


def _needs_conversion(path: str) -> bool:
    try:
        return kinds.kind_of_file(path) in kinds.CONVERTED
    except OSError:
        # For the check of all files to name.
        return False
