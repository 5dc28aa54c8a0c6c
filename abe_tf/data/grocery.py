"""The Grocery Store Dataset, as its public repository lays it out.

Klasson, Zhang, Kjellström, WACV 2019; github.com/marcusklasson/GroceryStoreDataset.
Which classes train and test is our choice (`--train_classes`): its own lists are of
photos of the same products.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator

from abe_tf.data.examples import Examples, from_paths
from abe_tf.errors import InputError

_LISTS = ("test", "train", "val")


def load(data_dir: str) -> Examples:
    """The photos of all three lists together, by product in the order of its numbers.

    Args:
      data_dir: The repository, or its folder `dataset`.

    Raises:
      InputError: A list is missing, or is not as the repository has it, or a photo that
        it names is missing.
    """
    folder = os.path.join(data_dir, "dataset")
    if not os.path.isdir(folder):
        folder = data_dir
    names = _names(os.path.join(folder, "classes.csv"))
    images = []
    for name in _LISTS:
        path = os.path.join(folder, f"{name}.txt")
        for line, row in _rows(path):
            place, label = row[0], _number(row[1:2], path, line)
            if not 0 <= label < len(names):
                raise _wrong(path, f"line {line}: there is no class {label}")
            # One name may be in several lists.
            images.append((label, f"{name}_{os.path.basename(place)}", place))
    images.sort()
    paths = [os.path.join(folder, place) for _, _, place in images]
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing:
        raise InputError(
            "--data_dir must hold all photos that its lists name. Received: "
            f"{data_dir!r}, without {len(missing):,}, such as {missing[0]!r}. Clone "
            "the repository again."
        )
    numbered = tuple(f"{number:02}_{name}" for number, name in enumerate(names))
    return from_paths(paths, [label for label, _, _ in images], numbered)


def _names(path: str) -> list[str]:
    """The names of the products, whose numbers are 0, 1, 2, ..."""
    _, *rows = _rows(path)
    names = [row[0] for _, row in rows]
    for number, (line, row) in enumerate(rows):
        if _number(row[1:2], path, line) != number:
            raise _wrong(path, f"line {line}: the classes must be in order")
    return names


def _rows(path: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a list that are not empty, with the number of the line."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(enumerate(csv.reader(file, skipinitialspace=True), 1))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _wrong(path, str(error)) from error
    return ((line, row) for line, row in rows if row)


def _number(fields: list[str], path: str, line: int) -> int:
    try:
        return int("".join(fields))
    except ValueError as error:
        raise _wrong(path, f"line {line}: a class must be a number") from error


def _wrong(path: str, what: str) -> InputError:
    return InputError(
        "--dataset=grocery_store needs --data_dir, a clone of the repository "
        f"marcusklasson/GroceryStoreDataset. Received: {path!r}: {what}."
    )
