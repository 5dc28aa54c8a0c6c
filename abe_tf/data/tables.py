"""Lists that people write in spreadsheets, as CSV."""

from __future__ import annotations

import csv

from abe_tf.errors import InputError

_DELIMITERS = (",", ";", "\t", "|")


def rows(path: str, flag: str) -> tuple[set[str], list[dict[str, str]]]:
    """The columns and the rows of a CSV file; what parts them, its header tells.

    Args:
      path: Path of the file.
      flag: That names it.

    Raises:
      InputError: It is no such file.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter=_delimiter(file.readline()))
            file.seek(0)
            return set(reader.fieldnames or ()), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"--{flag} must be a CSV file in UTF-8. Received: {path!r}: {error}."
        ) from error


def _delimiter(header: str) -> str:
    """What stands between the names of the columns: spreadsheets differ by country."""
    names = {delimiter: header.split(delimiter) for delimiter in _DELIMITERS}
    return max(_DELIMITERS, key=lambda delimiter: len(names[delimiter]))
