"""What runs on the workers: a model each, and shard after shard.

A shard is one element, read, embedded and written before the next one begins. Were each
photo one, a shard would be whole only once all photos of all shards are embedded, and
who is killed before would have nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from abe_tf.bulk import store
from abe_tf.errors import InputError
from abe_tf.photo_index.batches import embed_padded, in_threads
from abe_tf.photo_index.contents import BrokenPhotoError, digest_of
from abe_tf.retrieval import shards
from abe_tf.retrieval.shards import Manifest, Row

if TYPE_CHECKING:
    from abe_tf.photo_index.model import IndexModel
    from abe_tf.photo_index.reading import Photo

_NAMESPACE = "abe_tf"


@dataclasses.dataclass(frozen=True)
class Embedded:
    """A shard that was embedded.

    Attributes:
      rows: Photos, in the order of the list.
      embeddings: float32 `[rows, learners, dim]`.
      broken: Paths that could not be read, and why.
    """

    rows: Sequence[Row]
    embeddings: np.ndarray
    broken: Sequence[tuple[str, str]]


class Learners(ModelHandler[int, PredictionResult, Any]):
    """Embeds the photos of shards by an exported model.

    Args:
      prefix: What names of shards begin with.
      manifest: What they are of.
      batch_size: Photos that are embedded at once.
      threads: That one operation of TensorFlow may use; 0 for its own choice.
    """

    def __init__(
        self, prefix: str, manifest: Manifest, batch_size: int, threads: int = 0
    ) -> None:
        super().__init__(min_batch_size=1, max_batch_size=1)
        self._prefix, self._manifest = prefix, manifest
        self._batch_size, self._threads = batch_size, threads

    def load_model(self) -> IndexModel:
        """Loads the model; once a worker.

        Raises:
          InputError: It is not the one of the manifest.
        """
        import tensorflow as tf

        if self._threads:
            # In a process that has used TensorFlow before, its choice stays.
            with contextlib.suppress(RuntimeError):
                tf.config.threading.set_intra_op_parallelism_threads(self._threads)
        model = load(self._manifest.model, self._manifest.preprocessing["max_pixels"])
        if model.fingerprint != self._manifest.fingerprint:
            raise InputError(
                "All workers must embed by one model. Received: "
                f"{self._manifest.model!r} of {model.fingerprint}, where the manifest "
                f"says {self._manifest.fingerprint}."
            )
        return model

    def run_inference(
        self,
        batch: Sequence[int],
        model: IndexModel,
        inference_args: Mapping[str, Any] | None = None,
    ) -> Iterator[PredictionResult]:
        """Embeds shards, by their numbers."""
        for shard in batch:
            path = shards.name(self._prefix, shard, shards.LIST)
            try:
                lines = shards.csv_rows(store.read(path))
            except BrokenPhotoError as error:
                raise InputError(
                    f"The lists of --output must stay. Received: {path!r}: {error}. "
                    "Remove the manifest and all shards, or give another --output."
                ) from error
            photos = [(photo, label) for photo, label in lines]
            embedded = embed(model, photos, self._batch_size)
            yield PredictionResult(shard, embedded)

    def get_metrics_namespace(self) -> str:
        """Of the metrics that Beam shows."""
        return _NAMESPACE


class Write(beam.DoFn):
    """Writes shards, each whole or not at all.

    Args:
      prefix: What their names begin with.
      manifest: What they are of.
    """

    def __init__(self, prefix: str, manifest: Manifest) -> None:
        super().__init__()
        self._prefix, self._manifest = prefix, manifest
        self._counted = {
            name: Metrics.counter(_NAMESPACE, name) for name in ("embedded", "broken")
        }

    def process(self, element: PredictionResult) -> Iterator[int]:
        """Writes one; gives its number."""
        shard, embedded = element.example, element.inference
        broken = shards.name(self._prefix, shard, shards.BROKEN)
        whole = shards.name(self._prefix, shard, shards.PARQUET)
        text = shards.broken_text(embedded.broken)
        if embedded.broken and not store.exists(whole):
            # Before the shard, which says that all of it is done.
            store.write(broken, text)
        about = self._manifest.of_model()
        content = shards.encoded(embedded.rows, embedded.embeddings, about)
        store.write(whole, content)
        # After it, where it was there: what was broken before is in it now.
        if embedded.broken:
            store.write(broken, text)
        elif store.exists(broken):
            store.remove(broken)
        self._counted["embedded"].inc(len(embedded.rows))
        self._counted["broken"].inc(len(embedded.broken))
        yield shard


def load(model_dir: str, max_pixels: int) -> IndexModel:
    """The newest version of an exported model, wherever it lies.

    Raises:
      InputError: It cannot be had.
    """
    from abe_tf.config.index import SourceConfig
    from abe_tf.photo_index import model

    with store.on_this_machine(model_dir) as folder:
        return model.load(SourceConfig(model_dir=folder), max_pixels)


def embed(
    model: IndexModel, photos: Sequence[tuple[str, str]], batch_size: int
) -> Embedded:
    """Embeds photos.

    Args:
      model: The model.
      photos: Path and label of each.
      batch_size: Photos at once.
    """
    from abe_tf.photo_index.reading import reader

    reads = reader(model.preprocessing)

    def read(photo: tuple[str, str]) -> tuple[Row, Photo] | str:
        path, label = photo
        try:
            mtime_ns = store.stamp(path)
            content = store.read(path)
            seen = reads.photo(content, with_thumbnail=False)
        except BrokenPhotoError as error:
            return str(error)
        row = Row(
            id=digest_of(content),
            path=path,
            label=label or None,
            bytes=len(content),
            mtime_ns=mtime_ns,
            width=seen.width,
            height=seen.height,
            taken=seen.header.time,
            camera=seen.header.camera,
        )
        return row, seen

    rows, squares, embeddings, broken = [], [], [], []
    for (path, _), one in zip(
        photos, in_threads(read, list(photos), 2 * batch_size), strict=True
    ):
        if isinstance(one, str):
            broken.append((path, one))
            continue
        rows.append(one[0])
        squares.append(one[1].square)
        if len(squares) == batch_size:
            embeddings.append(embed_padded(lambda: model, squares, batch_size))
            squares = []
    if squares:
        embeddings.append(embed_padded(lambda: model, squares, batch_size))
    empty = np.empty([0, *model.layout.shape], np.float32)
    return Embedded(rows, np.concatenate([empty, *embeddings]), broken)


def threads_of(workers: int) -> int:
    """Threads of one operation where several workers share this machine."""
    return max(1, len(os.sched_getaffinity(0)) // workers) if workers > 1 else 0
