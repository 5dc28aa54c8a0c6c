"""Random access to what TensorFlow Datasets has prepared.

A prepared split is a few files of records in TFRecord's framing: 8 bytes of length, 4
of checksum, the record, 4 of checksum. One pass notes where each record lies; after
that an image costs one read, and memory holds no more than the index.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

_BEFORE, _AFTER = 12, 4
_BATCH = 256


class RecordIndex:
    """Where the records of some files lie, with their small features.

    Args:
      paths: TFRecord files, in order.
      features: What `tf.io.parse_example` shall read of each record; not the image.
      describe: Turns a batch of raw records into further features, or `None`.
    """

    def __init__(
        self,
        paths: Sequence[str],
        features: dict[str, Any],
        describe: Callable[[tf.Tensor], dict[str, tf.Tensor]] | None = None,
    ) -> None:
        self._paths = [os.fspath(path) for path in paths]
        self._descriptors: dict[int, int] = {}
        files, offsets, lengths = [], [], []
        columns: dict[str, list[np.ndarray]] = {}
        for number, path in enumerate(self._paths):
            offset = 0
            for batch in tf.data.TFRecordDataset(path).batch(_BATCH):
                sizes = tf.strings.length(batch).numpy().astype(np.int64)
                framed = sizes + _BEFORE + _AFTER
                ends = offset + np.cumsum(framed)
                files.append(np.full(len(sizes), number))
                offsets.append(ends - framed + _BEFORE)
                lengths.append(sizes)
                offset = int(ends[-1])
                parsed = tf.io.parse_example(batch, features)
                if describe is not None:
                    parsed |= describe(batch)
                for name, values in parsed.items():
                    columns.setdefault(name, []).append(values.numpy())
        self._files = np.concatenate(files)
        self._offsets = np.concatenate(offsets)
        self._lengths = np.concatenate(lengths)
        self.features = {name: np.concatenate(v) for name, v in columns.items()}

    def __len__(self) -> int:
        return len(self._files)

    def read_image(self, key: tf.Tensor) -> tf.Tensor:
        """Graph function from a record's number to the bytes of its "image"."""
        record = tf.numpy_function(self._read, [key], tf.string)
        feature = {"image": tf.io.FixedLenFeature([], tf.string)}
        return tf.io.parse_single_example(tf.ensure_shape(record, []), feature)["image"]

    def _read(self, key: np.ndarray) -> bytes:
        file = int(self._files[key])
        if file not in self._descriptors:
            self._descriptors[file] = os.open(self._paths[file], os.O_RDONLY)
        length, offset = int(self._lengths[key]), int(self._offsets[key])
        record = os.pread(self._descriptors[file], length, offset)
        if len(record) != length:
            raise OSError(f"{self._paths[file]!r} has become shorter")
        return record
