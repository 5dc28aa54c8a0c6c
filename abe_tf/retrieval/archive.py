"""Embeddings on disk, ours and those of other tools."""

from __future__ import annotations

import dataclasses
import functools
import io
import math
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from abe_tf.errors import InputError
from abe_tf.retrieval.embedded import Embedded
from abe_tf.retrieval.matrix import DistanceMatrix
from abe_tf.storage.files import write_atomically

_GALLERY = "gallery_"
_ABOUT = ("dataset", "split", "checkpoint", "fingerprint", "known_classes")


@dataclasses.dataclass(frozen=True)
class Archive:
    """Embedded images and where they come from.

    Attributes:
      queries: The images.
      gallery: Where the queries are looked for; among each other where `None`.
      class_names: By label.
      about: Origin: of "dataset", "split", "checkpoint", "fingerprint" (of the model's
        weights) and "known_classes" (a note, where the queries are photos of classes
        that trained), what is known.
    """

    queries: Embedded
    gallery: Embedded | None
    class_names: tuple[str, ...]
    about: dict[str, str]

    @functools.cached_property
    def matrix(self) -> DistanceMatrix:
        """Queries against the gallery, prepared once for whatever is measured."""
        return DistanceMatrix.of(self.queries, self.gallery)


def save(
    path: str, archive: Archive, more: Mapping[str, np.ndarray | str] | None = None
) -> None:
    """Writes an `.npz` file: beside first, then renamed.

    It holds `ids` (text), `labels` (integers), `class_names` (text, by label) and
    `learner_embeddings` (float32 `[images, learners, dim]`), where cameras are known
    `cameras` (text), all but `class_names` also with `gallery_` before them where there
    is a gallery, and what is known of dataset, split, checkpoint and fingerprint, as
    text.

        >>> x = np.array([[[1.0, 0.0]], [[0.0, 1.0]]], np.float32)
        >>> queries = Embedded(x, np.array([0, 1]), ["a.jpg", "b.jpg"])
        >>> save("pets.npz", Archive(queries, None, ("cat", "dog"), {"split": "test"}))
        >>> load("pets.npz").class_names
        ('cat', 'dog')

    Args:
      path: Path of the file.
      archive: The embeddings.
      more: Further arrays by name, for whoever reads them with `load_all`.

    Raises:
      InputError: The file cannot be written.
    """
    arrays: dict[str, Any] = {**archive.about, **(more or {})}
    arrays["class_names"] = np.array(archive.class_names)
    for prefix, side in (("", archive.queries), (_GALLERY, archive.gallery)):
        if side is not None:
            names = [side.name(image) for image in range(len(side))]
            arrays[f"{prefix}ids"] = np.array(names)
            arrays[f"{prefix}labels"] = np.asarray(side.labels)
            arrays[f"{prefix}learner_embeddings"] = side.learner_embeddings
            if side.cameras is not None:
                arrays[f"{prefix}cameras"] = side.cameras
    file = io.BytesIO()
    np.savez(file, **arrays)
    write_atomically(path, file.getvalue())


def load(path: str) -> Archive:
    """Reads what `save` wrote, or what another tool did.

    Of another tool `embeddings` (`[images, dim]`, or `[images, learners, dim]`) and
    `labels` (integers or text) are enough.

        >>> np.savez("other.npz", embeddings=np.eye(3), labels=["cat", "cat", "dog"])
        >>> archive = load("other.npz")
        >>> archive.class_names, len(archive.queries)
        (('cat', 'dog'), 3)

    Raises:
      InputError: It is no such file, or its arrays do not fit each other.
    """
    return load_all(path)[0]


def load_all(path: str) -> tuple[Archive, dict[str, np.ndarray]]:
    """As `load`, with all arrays of the file by name.

    Raises:
      InputError: It is no such file, or its arrays do not fit each other.
    """
    arrays = _read(path)
    queries = _side(arrays, "", path)
    gallery = None
    if any(name.startswith(_GALLERY) for name in arrays):
        gallery = _side(arrays, _GALLERY, path)
        if (queries.cameras is None) != (gallery.cameras is None):
            raise InputError(
                "There must be cameras of queries and gallery, or of neither. "
                f"Received: those of one in {path!r}."
            )
    sides = [queries] if gallery is None else [queries, gallery]
    classes, numbers = np.unique(
        np.concatenate([side.labels for side in sides]), return_inverse=True
    )
    names = [str(name) for name in classes]
    if "class_names" in arrays and np.issubdtype(classes.dtype, np.integer):
        names = _class_names(arrays["class_names"], classes, path)
    ends = np.cumsum([len(side) for side in sides])[:-1]
    read = [
        dataclasses.replace(side, labels=labels)
        for side, labels in zip(sides, np.split(numbers, ends), strict=True)
    ]
    about: dict[str, str] = {
        name: str(arrays[name]) for name in _ABOUT if name in arrays
    }
    archive = Archive(read[0], read[1] if gallery else None, tuple(names), about)
    return archive, arrays


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
    if embeddings.ndim != 3 or not np.issubdtype(embeddings.dtype, np.floating):
        raise InputError(
            "Embeddings must be floating point numbers, [images, dim] or [images, "
            f"learners, dim]. Received: {embeddings.dtype} of shape "
            f"{list(embeddings.shape)} in {path!r}."
        )
    is_label = np.issubdtype(labels.dtype, np.integer) or labels.dtype.kind in "US"
    if len(embeddings) and not (is_label and labels.shape == embeddings.shape[:1]):
        raise InputError(
            "There must be one label an embedding, a whole number or a text. "
            f"Received: {labels.dtype} of shape {list(labels.shape)} for "
            f"{len(embeddings)} embeddings in {path!r}."
        )
    ids, cameras = (arrays.get(f"{prefix}{name}") for name in ("ids", "cameras"))
    for name, values in (("id", ids), ("camera", cameras)):
        if values is not None and values.shape != labels.shape:
            raise InputError(
                f"There must be one {name} an embedding, or none at all. "
                f"Received: {name}s of shape {list(values.shape)} for "
                f"{len(embeddings)} embeddings in {path!r}."
            )
    return Embedded(embeddings, labels, None if ids is None else list(ids), cameras)


def _class_names(names: np.ndarray, classes: np.ndarray, path: str) -> list[str]:
    """Names of the classes that occur, by their numbers."""
    last = len(names) - 1 if names.ndim == 1 else -1
    if len(classes) and not 0 <= classes[0] <= classes[-1] <= last:
        raise InputError(
            "Labels beside class_names must be their positions, counted from 0. "
            f"Received: labels {classes[0]} to {classes[-1]} with class_names of shape "
            f"{list(names.shape)} in {path!r}. Subtract 1 where they count from 1, or "
            "leave class_names out."
        )
    return [str(names[label]) for label in classes]


def _read(path: str) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, none larger than the file says.

    Raises:
      InputError: It is none, or broken.
    """
    try:
        with zipfile.ZipFile(path) as file:
            return {
                info.filename.removesuffix(".npy"): _read_array(file, info)
                for info in file.infolist()
            }
    except MemoryError:
        raise
    except Exception as error:
        # Files of other tools: zip, deflate and NumPy's header each have their own
        # ways of saying that they cannot read one.
        raise InputError(
            "--embeddings must be an .npz file with arrays of numbers and text. "
            f"Received: {path!r}: {error or type(error).__name__}."
        ) from error


def _read_array(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    if not info.filename.endswith(".npy"):
        raise ValueError(f"{info.filename!r} is no array")
    with file.open(info) as member:
        version = np.lib.format.read_magic(member)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        shape, _, dtype = read_header[version](member)
        # Before memory is taken for it.
        stated = dtype.itemsize * math.prod(shape)
        if dtype.hasobject or member.tell() + stated != info.file_size:
            raise ValueError(
                f"{info.filename!r} states {stated:,} bytes of {dtype}, in a member of "
                f"{info.file_size:,}"
            )
    with file.open(info) as member:
        return np.lib.format.read_array(member, allow_pickle=False)
