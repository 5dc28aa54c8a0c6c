"""Lists that people write in spreadsheets, as CSV."""

from __future__ import annotations

import csv
import io

from abe_tf.errors import InputError

_DELIMITERS = (",", ";", "\t", "|")

# A row, and the line of the file that it ends with.
Numbered = list[tuple[int, dict[str, str]]]


def rows(path: str, flag: str) -> tuple[set[str], Numbered]:
    """The columns and the rows of a CSV file.

    Args:
      path: Path of the file.
      flag: That names it.

    Raises:
      InputError: It is no such file.
    """
    try:
        with open(path, "rb") as file:
            return parsed(file.read())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"--{flag} must be a CSV file in UTF-8. Received: {path!r}: {error}."
        ) from error


def parsed(content: bytes) -> tuple[set[str], Numbered]:
    r"""The columns and the rows of CSV; what parts them, its beginning tells.

        >>> parsed(b"sep=;\r\npath;label\r\na.jpg;cat\r\n")[1]
        [(3, {'path': 'a.jpg', 'label': 'cat'})]

    Args:
      content: Bytes of the file.

    Raises:
      UnicodeDecodeError: It is no UTF-8.
      csv.Error: A quotation has no end, or what else no CSV has.
    """
    file = io.StringIO(content.decode("utf-8-sig"), newline="")
    first, skipped = file.readline(), 1
    # So Excel is told, and some programs tell it.
    delimiter = first.strip("\r\n")[4:] if first.lower().startswith("sep=") else ""
    if len(delimiter) != 1:
        delimiter, skipped = _delimiter(first), 0
        file.seek(0)
    reader = csv.DictReader(file, delimiter=delimiter, strict=True)
    columns = set(reader.fieldnames or ())
    return columns, [(reader.line_num + skipped, row) for row in reader]


def _delimiter(header: str) -> str:
    """What stands between the names of the columns: spreadsheets differ by country."""
    names = {delimiter: header.split(delimiter) for delimiter in _DELIMITERS}
    return max(_DELIMITERS, key=lambda delimiter: len(names[delimiter]))
