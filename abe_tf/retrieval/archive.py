"""Embeddings on disk, ours and those of other tools."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from typing import Any

import numpy as np

from abe_tf.errors import InputError
from abe_tf.retrieval.embedded import Embedded
from abe_tf.storage.files import write_atomically

_GALLERY = "gallery_"


@dataclasses.dataclass(frozen=True)
class Archive:
    """Embedded images and where they come from.

    Attributes:
      queries: The images.
      gallery: Where the queries are looked for; among each other where `None`.
      class_names: By label.
      about: Of "dataset", "split", "checkpoint" and "fingerprint" (of the model's
        weights), what is known.
    """

    queries: Embedded
    gallery: Embedded | None
    class_names: tuple[str, ...]
    about: dict[str, str]


def save(path: str, archive: Archive) -> None:
    """Writes an `.npz` file: beside first, then renamed.

    It holds `ids` (text), `labels` (integers), `class_names` (text, by label) and
    `learner_embeddings` (float32 `[images, learners, dim]`), the first, second and
    fourth also with `gallery_` before them where there is a gallery, and what is known
    of dataset, split, checkpoint and fingerprint, as text.

    Raises:
      InputError: The file cannot be written.
    """
    arrays: dict[str, Any] = dict(archive.about)
    arrays["class_names"] = np.array(archive.class_names)
    for prefix, side in (("", archive.queries), (_GALLERY, archive.gallery)):
        if side is not None:
            names = [side.name(image) for image in range(len(side))]
            arrays[f"{prefix}ids"] = np.array(names)
            arrays[f"{prefix}labels"] = np.asarray(side.labels)
            arrays[f"{prefix}learner_embeddings"] = side.learner_embeddings
    file = io.BytesIO()
    np.savez(file, **arrays)
    write_atomically(path, file.getvalue())


def load(path: str) -> Archive:
    """Reads what `save` wrote, or what another tool did.

    Of another tool `embeddings` (`[images, dim]`, or `[images, learners, dim]`) and
    `labels` (integers or text) are enough.

    Raises:
      InputError: It is no such file, or its arrays do not fit each other.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("a single array, without labels")
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            "--embeddings must be an .npz file with arrays of numbers and text. "
            f"Received: {path!r}: {error}."
        ) from error
    queries = _side(arrays, "", path)
    gallery = None
    if any(name.startswith(_GALLERY) for name in arrays):
        gallery = _side(arrays, _GALLERY, path)
    sides = [queries] if gallery is None else [queries, gallery]
    classes, numbers = np.unique(
        np.concatenate([side.labels for side in sides]), return_inverse=True
    )
    names = [str(name) for name in classes]
    if "class_names" in arrays and np.issubdtype(classes.dtype, np.integer):
        names = [str(arrays["class_names"][label]) for label in classes]
    ends = np.cumsum([len(side) for side in sides])[:-1]
    found = [
        dataclasses.replace(side, labels=labels)
        for side, labels in zip(sides, np.split(numbers, ends), strict=True)
    ]
    about: dict[str, str] = {
        name: str(arrays[name])
        for name in ("dataset", "split", "checkpoint", "fingerprint")
        if name in arrays
    }
    return Archive(found[0], found[1] if gallery else None, tuple(names), about)


def _side(arrays: dict[str, np.ndarray], prefix: str, path: str) -> Embedded:
    embeddings = arrays.get(f"{prefix}learner_embeddings")
    if embeddings is None:
        embeddings = arrays.get(f"{prefix}embeddings")
    labels = arrays.get(f"{prefix}labels")
    if embeddings is None or labels is None:
        raise InputError(
            f"--embeddings must hold {prefix}labels, and {prefix}learner_embeddings or "
            f"{prefix}embeddings. Received: {path!r} with {', '.join(arrays)}."
        )
    if embeddings.ndim == 2:
        embeddings = embeddings[:, np.newaxis]
    if not np.issubdtype(embeddings.dtype, np.floating):
        raise InputError(
            "Embeddings must be floating point numbers. "
            f"Received: {embeddings.dtype} in {path!r}."
        )
    ids = arrays.get(f"{prefix}ids")
    return Embedded(embeddings, labels, None if ids is None else list(ids))
