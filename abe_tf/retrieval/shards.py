"""Embeddings of very many photos: Parquet files, each of them whole, and a manifest.

PREFIX.manifest.json       what embedded them, and how many shards there are
PREFIX-00000.parquet       a row a photo
PREFIX-00000.broken.csv    path, reason: photos of that shard that cannot be read
PREFIX-00000.list.csv      path, label: what that shard is made of

Without TensorFlow. pyarrow reads PREFIX on Google's, Amazon's and Hadoop's file systems
too (gs://, s3://, hdfs://).
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from abe_tf.errors import InputError
from abe_tf.layout import Layout

# The second is of learners that differ in size or length, which programs that know
# the first alone would misread.
FORMATS = (1, 2)
MANIFEST, PARQUET = ".manifest.json", ".parquet"
BROKEN, LIST = ".broken.csv", ".list.csv"
_COLUMNS = (
    ("id", pa.binary(32)),  # SHA-256 of the file's bytes
    ("path", pa.string()),
    ("label", pa.string()),
    ("bytes", pa.int64()),
    ("mtime_ns", pa.int64()),  # since 1970; 0 where the file system does not say
    ("width", pa.int32()),  # of the upright image
    ("height", pa.int32()),
    ("taken", pa.float64()),  # seconds since 1970 by the camera's clock
    ("camera", pa.string()),
)
_KEY = b"abe_tf"


def _format(layout: Layout) -> int:
    return FORMATS[not layout.is_equal]


def _told(values: Mapping[str, object]) -> dict[str, object]:
    """Without what follows from the rest, which programs of before do not know."""
    return {name: value for name, value in values.items() if value is not None}


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What shards are of.

    Attributes:
      fingerprint: Fingerprint of the model, its precision, and what it sees.
      layout: Sizes and lengths of the learners.
      weights: How much each learner's distance counts, at its length; their sum is 1.
      preprocessing: What the model sees of a photo, by the names of the flags.
      model: Where the model lay.
      list: SHA-256 of the list of photos, as hexadecimal digits.
      photos: Number of photos in the list.
      shard_size: Photos of a shard; the last one may have fewer.
    """

    fingerprint: str
    layout: Layout
    weights: tuple[float, ...]
    preprocessing: dict[str, Any]
    model: str
    list: str
    photos: int
    shard_size: int

    @property
    def shards(self) -> int:
        """Number of shards."""
        return math.ceil(self.photos / self.shard_size)

    def of_model(self) -> dict[str, object]:
        """What each shard says of its model."""
        return {
            "fingerprint": self.fingerprint,
            **self.layout.values(),
            "weights": self.weights,
        }

    def size(self, shard: int) -> int:
        """Photos of a shard."""
        return min(self.shard_size, self.photos - shard * self.shard_size)

    def text(self) -> str:
        """The manifest as JSON."""
        values = {**self.__dict__, **_told(self.layout.values())}
        del values["layout"]
        return json.dumps({**values, "format": _format(self.layout)}, indent=1)

    @classmethod
    def parse(cls, text: bytes, path: str) -> Manifest:
        """Reads what `text` wrote.

        Args:
          text: The file.
          path: Where it lies, for messages.

        Raises:
          InputError: It is none, or of a later format.
        """
        try:
            values = json.loads(text)
            number = values.pop("format")
            if number not in FORMATS:
                raise InputError(
                    f"A manifest must be of format {max(FORMATS)} or older. Received: "
                    f"{path!r} of format {number}. Use the version of abe_tf that "
                    "wrote it."
                )
            layout = Layout.of(values)
            for name in layout.values():
                values.pop(name, None)
            weights = tuple(values.pop("weights"))
            return cls(layout=layout, weights=weights, **values)
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"A manifest must be what abe_tf.embed wrote. Received: {path!r}: "
                f"{error!r}."
            ) from error


@dataclasses.dataclass(frozen=True)
class Row:
    """What is known of a photo; the columns of a shard but its embedding."""

    id: bytes
    path: str
    label: str | None
    bytes: int
    mtime_ns: int
    width: int | None
    height: int | None
    taken: float | None
    camera: str | None


def name(prefix: str, shard: int, ending: str) -> str:
    """Path of a shard's file.

    >>> name("out/pets", 7, PARQUET)
    'out/pets-00007.parquet'
    """
    return f"{prefix}-{shard:05d}{ending}"


def encoded(
    rows: Sequence[Row], embeddings: np.ndarray, about: dict[str, object]
) -> bytes:
    """A Parquet file.

    Args:
      rows: The photos.
      embeddings: float32 `[rows, learners, dim]`.
      about: What is written beside: fingerprint, layout, weights.
    """
    layout = Layout.of(about)
    joined = layout.joined(embeddings)
    columns = [
        pa.array([getattr(row, column) for row in rows], kind)
        for column, kind in _COLUMNS
    ]
    flat = pa.array(np.ascontiguousarray(joined, np.float32).reshape(-1))
    columns.append(pa.FixedSizeListArray.from_arrays(flat, joined.shape[-1]))
    names = [*(column for column, _ in _COLUMNS), "embedding"]
    text = json.dumps({"format": _format(layout), **_told(about)})
    table = pa.Table.from_arrays(columns, names).replace_schema_metadata({_KEY: text})
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def about(path: str) -> dict[str, str]:
    """What a shard on this machine says of itself, "" where it does not.

    Raises:
      InputError: It is none.
    """
    try:
        metadata = pq.read_metadata(path).metadata or {}
        return {"state": "", **json.loads(metadata[_KEY])}
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise InputError(
            f"A shard must be what abe_tf wrote. Received: {path!r}: {error}. Remove "
            "it."
        ) from error


def broken_text(broken: Sequence[tuple[str, str]]) -> str:
    """What lists photos that cannot be read, as CSV."""
    return csv_text(("path", "reason"), broken)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A CSV file."""
    file = io.StringIO()
    # In quotes: a name may hold what ends a line.
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([header, *rows])
    return file.getvalue()


def csv_rows(content: bytes) -> list[list[str]]:
    """The rows of what `csv_text` made, without their header."""
    lines = csv.reader(io.StringIO(content.decode(), newline=""))
    next(lines)
    return list(lines)


class Shards:
    """Shards that were written, to be read.

    Args:
      prefix: What their names begin with; a path, or a URI that pyarrow reads.

    Attributes:
      prefix: What their names begin with.
      manifest: What they are of.

    Raises:
      InputError: There are none.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        try:
            if "://" in prefix:
                self._files, self._path = pyarrow.fs.FileSystem.from_uri(prefix)
            else:
                self._files = pyarrow.fs.LocalFileSystem()
                self._path = os.path.abspath(prefix)
            text = self._read(self._path + MANIFEST)
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                "--from_embeddings must be the --output of abe_tf.embed. "
                f"Received: {prefix!r}: {error}."
            ) from error
        self.manifest = Manifest.parse(text, prefix + MANIFEST)

    def missing(self) -> list[int]:
        """Shards that were not written yet."""
        return [
            shard
            for shard in range(self.manifest.shards)
            if not self._exists(name(self._path, shard, PARQUET))
        ]

    def broken(self) -> Iterator[tuple[str, str]]:
        """Photos that could not be read, and why."""
        for shard in range(self.manifest.shards):
            path = name(self._path, shard, BROKEN)
            if self._exists(path):
                rows = csv_rows(self._read(path))
                yield from ((photo, reason) for photo, reason in rows)

    def read(self, shard: int) -> tuple[list[Row], np.ndarray]:
        """The photos of a shard, and their embeddings, `[rows, learners, dim]`.

        Raises:
          InputError: The file is damaged, or of another model.
        """
        path = name(self._path, shard, PARQUET)
        try:
            table = pq.read_table(pa.BufferReader(self._read(path)))
            about = json.loads((table.schema.metadata or {})[_KEY])
            if about["fingerprint"] != self.manifest.fingerprint:
                raise ValueError(f"of a model {about['fingerprint']}")
            rows = [Row(**row) for row in table.drop_columns(["embedding"]).to_pylist()]
            column = table.column("embedding").combine_chunks()
            flat = column.flatten().to_numpy(zero_copy_only=False)
            layout = self.manifest.layout
            return rows, layout.apart(flat.reshape(len(rows), layout.size))
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise InputError(
                f"A shard must be what abe_tf.embed wrote for {self.prefix!r}. "
                f"Received: {path!r}: {error}. Remove it, and run abe_tf.embed again."
            ) from error

    def _exists(self, path: str) -> bool:
        info = self._files.get_file_info(path)
        return info.type == pyarrow.fs.FileType.File

    def _read(self, path: str) -> bytes:
        with self._files.open_input_stream(path) as file:
            return file.read()
