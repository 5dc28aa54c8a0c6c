"""From photos that are meant, or not, to their embeddings by an index's model."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING

import numpy as np

from abe_tf.config.data import MAX_PIXELS
from abe_tf.config.index import SourceConfig
from abe_tf.errors import InputError
from abe_tf.photo_index.contents import digest_of
from abe_tf.photo_index.searching import Moment

if TYPE_CHECKING:
    from abe_tf.photo_index.model import IndexModel
    from abe_tf.photo_index.reading import Box, PhotoReader
    from abe_tf.retrieval.explanation import Places


class Asker:
    """Embeds photos as an index's model does; several threads may.

    The model is loaded at the first photo that the index does not hold, which takes
    seconds.

    Args:
      about: What the index states of itself.
      source: The model, where it lies elsewhere by now; as the index states it where
        the flags name none.
    """

    def __init__(self, about: dict, source: SourceConfig) -> None:
        self._about = about
        self._source = source
        self._lock = threading.Lock()

    def embed(
        self, moment: Moment, content: bytes, box: Box | None = None
    ) -> tuple[np.ndarray, int | None]:
        """Embeds a photo, or a box in it.

        Args:
          moment: The index; a photo that it holds is embedded already.
          content: The bytes of its file.
          box: Left, top, right, bottom in pixels of the upright image.

        Returns:
          `[learners, dim]` float32; and its row, where it has one.

        Raises:
          BrokenPhotoError: It is no photo that can be read, or the box is outside.
          InputError: The model cannot be had, or is not the index's.
        """
        row = moment.row_of(digest_of(content))
        if row is not None and box is None:
            return moment.embedding(row), row
        square = np.asarray(self.reader.square(content, box))
        return self._embed(square), None

    def places(self, content: bytes, box: Box | None = None) -> Places:
        """Embeds a photo place by place, which tells why photos match.

        Args:
          content: The bytes of a file.
          box: A part of it, as for `embed`.

        Raises:
          BrokenPhotoError: It is no photo that can be read, or the box is outside.
          InputError: The model cannot be had, is not the index's, or is an export that
            does not tell its places.
        """
        from abe_tf.retrieval.explanation import places_of

        places = self._model.places
        if places is None:
            raise InputError(
                "Why photos match is told by exports with the signature parts. "
                "Received: an export without. Export the run again with the same "
                "--precision."
            )
        view, shown = self.reader.view(content, box)
        return places_of(view.numpy(), shown.numpy(), places)

    def warm(self) -> None:
        """Loads the model, and has it embed a black square.

        Raises:
          InputError: The model cannot be had, or is not the index's.
        """
        self._embed(np.zeros([*self.reader.sides, 3], np.uint8))

    def _embed(self, square: np.ndarray) -> np.ndarray:
        (embedding,) = self._model.embed(square[np.newaxis])
        return embedding

    @property
    def reader(self) -> PhotoReader:
        """Reads photos for the model."""
        with self._lock:
            return self._reader

    @functools.cached_property
    def _reader(self) -> PhotoReader:
        from abe_tf.photo_index import reading

        return reading.reader(self._model.preprocessing)

    @functools.cached_property
    def _model(self) -> IndexModel:
        from abe_tf.photo_index import model

        source = self._source
        if not source.is_given:
            source = SourceConfig(**self._about["source"])
        loaded = model.load(source, self._about.get("max_pixels", MAX_PIXELS))
        if loaded.fingerprint != self._about["fingerprint"]:
            raise InputError(
                "An index must be asked with the model that made it. Received: a model "
                f"{loaded.fingerprint}, and an index of {self._about['fingerprint']}. "
                "Name that model, or bring the index up to date with --reembed."
            )
        return loaded
