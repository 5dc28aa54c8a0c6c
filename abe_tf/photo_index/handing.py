"""What an index hands over: contents with their photos, kinds and embeddings."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterator, Sequence

import numpy as np

from abe_tf.errors import InputError
from abe_tf.layout import Layout
from abe_tf.photo_index import vectors
from abe_tf.photo_index.searching import Moment

_FACTS = ("bytes", "width", "height", "taken", "camera")


@dataclasses.dataclass(frozen=True)
class Model:
    """What made the embeddings of an index.

    Attributes:
      index: Tells the index from others.
      fingerprint: Tells the model from others.
      layout: Sizes and lengths of the learners.
      weights: How much each learner's distance counts, at its length; their sum is 1.
    """

    index: str
    fingerprint: str
    layout: Layout
    weights: tuple[float, ...]

    def values(self) -> dict[str, object]:
        """All of it by name, for JSON."""
        return {
            "index": self.index,
            "fingerprint": self.fingerprint,
            **self.layout.values(),
            "weights": list(self.weights),
        }

    def check(self, held: dict[str, object] | None, where: str) -> None:
        """Compares it with what a target holds.

        Args:
          held: `values` of what is there; `None` where nothing is.
          where: The target, for messages.

        Raises:
          InputError: It is another index, or another model.
        """
        for name, value in self.values().items():
            if held is not None and held.get(name) != value:
                raise InputError(
                    "A target holds one index, by one model. Received: "
                    f"{where}, of {name} {held.get(name)}, where the index has "
                    f"{value}. Give another --name or --at, or remove what is there."
                )


@dataclasses.dataclass(frozen=True)
class Photo:
    """A file of a content.

    Attributes:
      path: Where it lies, as text.
      label: Its kind; `None` where nothing tells.
      mtime_ns: When it was changed last, nanoseconds since 1970.
    """

    path: str
    label: str | None
    mtime_ns: int


@dataclasses.dataclass(frozen=True)
class Handed:
    """A content.

    Attributes:
      id: Its number in the index, which it keeps.
      digest: SHA-256 of its bytes.
      row: Row of its embedding.
      photos: Its files, at least one, by path.
      bytes: Size of one file.
      width: In pixels, upright.
      height: Height, likewise.
      taken: Seconds since 1970 by the camera's clock.
      camera: Its name.
      state: Another one where anything of this is another.
    """

    id: int
    digest: bytes
    row: int
    photos: tuple[Photo, ...]
    bytes: int
    width: int | None
    height: int | None
    taken: float | None
    camera: str | None
    state: str

    @property
    def paths(self) -> list[str]:
        """Where its files lie."""
        return [photo.path for photo in self.photos]

    @property
    def label(self) -> str | None:
        """The kind of its first file; `None` where nothing tells."""
        return self.photos[0].label


def model_of(moment: Moment) -> Model:
    """What made the embeddings of an index.

    Raises:
      InputError: The index has no photo.
    """
    about, layout = moment.about, moment.layout
    # Of an index of before, its first content, which is never forgotten.
    first = moment.first_digest()
    if first is None:
        raise InputError(
            "--index must hold photos. Received: one without a photo. Index some with "
            "python -m abe_tf.index."
        )
    weights = about.get("weights") or [1 / layout.learners] * layout.learners
    identity = about.get("identity") or first.hex()[:16]
    return Model(identity, about["fingerprint"], layout, tuple(weights))


def contents(moment: Moment) -> Iterator[Handed]:
    """The contents that have a file and an embedding, by their numbers."""
    fingerprint = moment.about["fingerprint"]
    for rows in moment.photos_of_contents():
        first = rows[0]
        photos = tuple(
            Photo(_text(photo["path"]), photo["label"], photo["mtime_ns"])
            for photo in rows
        )
        facts = {name: first[name] for name in _FACTS}
        text = repr((fingerprint, bytes(first["digest"]), photos, facts))
        yield Handed(
            id=first["id"],
            digest=first["digest"],
            row=first["row"],
            photos=photos,
            state=hashlib.blake2b(text.encode(), digest_size=8).hexdigest(),
            **facts,
        )


def _text(path: bytes) -> str:
    """A path as text: bytes that are none are spelled out."""
    return os.fsdecode(path).encode("utf-8", "backslashreplace").decode()


def portions(
    moment: Moment, some: Sequence[Handed], size: int
) -> Iterator[tuple[Sequence[Handed], np.ndarray]]:
    """Contents with their embeddings, float32 `[size, learners, dim]`, in portions."""
    for first in range(0, len(some), size):
        part = some[first : first + size]
        rows = np.array([one.row for one in part], np.int64)
        yield part, vectors.gather(moment.segments, rows)
