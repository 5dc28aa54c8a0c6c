"""Photos that lie in two splits at once: the same bytes, whatever they are called."""

from __future__ import annotations

import concurrent.futures
import hashlib
import os
import sys
from collections.abc import Callable, Sequence

import numpy as np

from abe_tf.data.examples import Examples

# Files that are looked at at once.
_THREADS = 16
_TAIL = 4096
_SHOWN = 10


def tell(examples: Examples, named: np.ndarray) -> None:
    """Says on standard error which photos two splits share.

    A photo that trains and tests makes recall look better than it is; so does a query
    that finds itself in the gallery.

    Args:
      examples: Examples of all splits; those that are no files are not looked at.
      named: `[images]` names of their splits.
    """
    if examples.files is None:
        return
    train = np.isin(named, ("train", "validation"))
    query = np.isin(named, ("test", "query"))
    gallery = named == "gallery"
    for one, other, what in (
        (train, query | gallery, "is in training and test"),
        (query, gallery, "is a query and in the gallery"),
    ):
        _tell_shared(examples, one, other, what)


def _tell_shared(
    examples: Examples, one: np.ndarray, other: np.ndarray, what: str
) -> None:
    pairs = _equal(examples, np.flatnonzero(one), np.flatnonzero(other))
    if not pairs:
        return
    names = [
        f"{str(examples.names[a])!r} and {str(examples.names[b])!r}"
        for a, b in pairs[:_SHOWN]
    ]
    more = f"; and {len(pairs) - _SHOWN:,} more" if len(pairs) > _SHOWN else ""
    print(
        f"The same photo, by its content, {what}: {len(pairs):,} times: "
        f"{'; '.join(names)}{more}",
        file=sys.stderr,
    )


def _equal(
    examples: Examples, one: np.ndarray, other: np.ndarray
) -> list[tuple[int, int]]:
    """Pairs of positions whose files are equal: by size, then by ends, then whole."""
    assert examples.files is not None
    for look in (_size, _end, _whole):
        first, second = (
            _looks(examples.files, one, look),
            _looks(examples.files, other, look),
        )
        common = set(first.values()) & set(second.values()) - {None}
        one = np.array([i for i, key in first.items() if key in common], int)
        other = np.array([i for i, key in second.items() if key in common], int)
    by_key: dict[object, int] = {}
    for position, key in first.items():
        by_key.setdefault(key, position)
    return [(by_key[second[i]], int(i)) for i in other]


def _looks(
    files: Sequence[str], positions: np.ndarray, look: Callable[[str], object]
) -> dict[int, object]:
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        looks = pool.map(lambda i: look(files[i]), positions)
        return dict(zip(positions.tolist(), looks, strict=True))


def _size(path: str) -> object:
    try:
        return os.path.getsize(path) or None
    except OSError:
        # Named elsewhere.
        return None


def _end(path: str) -> object:
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - _TAIL))
        return os.path.getsize(path), hashlib.sha256(file.read()).digest()


def _whole(path: str) -> object:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
