"""Files of an index: Parquet shards, an .npz archive.

They are written whole, each beside first and then renamed; where nothing has changed
since, they are left as they are.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Sequence

import numpy as np

from abe_tf.errors import InputError
from abe_tf.photo_index import handing
from abe_tf.photo_index.handing import Handed, Model, Photo
from abe_tf.photo_index.searching import Moment
from abe_tf.retrieval import shards
from abe_tf.retrieval.embedded import Embedded
from abe_tf.retrieval.shards import Manifest, Row
from abe_tf.storage.files import write_atomically

_SHARD, _PORTION = 10_000, 4_096


@dataclasses.dataclass(frozen=True)
class Source:
    """What is written.

    Attributes:
      moment: The index.
      model: What made its embeddings.
      contents: What it hands over.
    """

    moment: Moment
    model: Model
    contents: Sequence[Handed]

    def embeddings(self) -> np.ndarray:
        """All of them, float32 `[contents, learners, dim]`."""
        parts = handing.portions(self.moment, self.contents, _PORTION)
        return np.concatenate([part for _, part in parts])

    def state(self) -> str:
        """Another one where anything has changed."""
        digest = hashlib.sha256()
        for one in self.contents:
            digest.update(f"{one.id} {one.state}\n".encode())
        return digest.hexdigest()


def write_parquet(source: Source, prefix: str, since_last: bool) -> tuple[int, str]:
    """Writes shards as those of abe_tf.embed, a row a file of a photo.

    Args:
      source: What.
      prefix: What their names begin with.
      since_last: Whether shards that hold what they should are left.

    Returns:
      How many rows were written, and how they are read.

    Raises:
      InputError: There are shards of another index; they cannot be written.
    """
    photos = [(one, photo) for one in source.contents for photo in one.photos]
    model = source.model
    manifest = Manifest(
        fingerprint=model.fingerprint,
        layout=model.layout,
        weights=model.weights,
        preprocessing={},
        model=source.moment.about["source"].get("model_dir") or "",
        list=model.index,
        photos=len(photos),
        shard_size=_SHARD,
    )
    _check_shards(prefix, model)
    os.makedirs(os.path.dirname(prefix) or ".", exist_ok=True)
    count = 0
    for shard in range(manifest.shards):
        part = photos[shard * _SHARD : (shard + 1) * _SHARD]
        path = shards.name(prefix, shard, shards.PARQUET)
        text = "\n".join(f"{one.id} {one.state} {photo.path}" for one, photo in part)
        state = hashlib.sha256(text.encode()).hexdigest()
        if since_last and os.path.isfile(path) and shards.about(path)["state"] == state:
            continue
        rows = [_row(one, photo) for one, photo in part]
        contents = [one for one, _ in part]
        parts = handing.portions(source.moment, contents, _PORTION)
        embeddings = np.concatenate([part for _, part in parts])
        told = {**manifest.of_model(), "state": state}
        write_atomically(path, shards.encoded(rows, embeddings, told))
        count += len(part)
    write_atomically(prefix + shards.MANIFEST, manifest.text())
    for path in _shards_from(prefix, manifest.shards):
        os.remove(path)
    return count, (
        "A row a photo; its column embedding holds the learners side by side, and the "
        "manifest their number, size and weights. The ensemble distance is the "
        "weighted mean of the learners' Euclidean distances; inner products of the "
        "whole order by their squares, which is not the same."
    )


def _shards_from(prefix: str, first: int) -> list[str]:
    """Shards of this number and above, whatever a manifest says."""
    folder, start = os.path.dirname(prefix) or ".", os.path.basename(prefix)
    ours = re.compile(re.escape(start) + r"-(\d{5,})" + re.escape(shards.PARQUET))
    numbered = ((ours.fullmatch(name), name) for name in os.listdir(folder))
    return [
        os.path.join(folder, name)
        for match, name in numbered
        if match and int(match[1]) >= first
    ]


def _check_shards(prefix: str, model: Model) -> None:
    """Refuses shards of others.

    Raises:
      InputError: They are of another index, or of abe_tf.embed.
    """
    path = prefix + shards.MANIFEST
    if not os.path.isfile(path):
        return
    with open(path, "rb") as file:
        before = Manifest.parse(file.read(), path)
    held = {**before.of_model(), "index": before.list}
    held["weights"] = list(before.weights)
    model.check(held, f"{path!r}")


def _row(one: Handed, photo: Photo) -> Row:
    return Row(
        id=one.digest,
        path=photo.path,
        label=photo.label,
        bytes=one.bytes,
        mtime_ns=photo.mtime_ns,
        width=one.width,
        height=one.height,
        taken=one.taken,
        camera=one.camera,
    )


def write_npz(source: Source, path: str, since_last: bool) -> tuple[int, str]:
    """Writes an archive as that of abe_tf.evaluate --save_embeddings.

    Args:
      source: What.
      path: The file.
      since_last: Whether a file that holds this is left.

    Returns:
      How many rows were written, and how they are read.

    Raises:
      InputError: It is another index's; it cannot be written.
    """
    # With TensorFlow, which nothing else here needs.
    from abe_tf.retrieval import archive

    model, state = source.model, source.state()
    before = _npz_about(path)
    model.check(before, f"{path!r}")
    told = (
        "Arrays ids, labels, class_names, learner_embeddings [photos, learners, dim] "
        "and weights; abe_tf.evaluate --embeddings reads it. A photo without a kind "
        "has the class ''."
    )
    if since_last and before is not None and before.get("state") == state:
        return 0, told
    names = [one.label or "" for one in source.contents]
    classes, labels = np.unique(names, return_inverse=True)
    embedded = Embedded(
        source.embeddings(), labels, [one.paths[0] for one in source.contents]
    )
    about = {"dataset": "index", "fingerprint": model.fingerprint}
    kept = archive.Archive(embedded, None, tuple(map(str, classes)), about)
    more: dict[str, np.ndarray | str] = {
        "weights": np.array(model.weights),
        "handed_over": json.dumps({**model.values(), "state": state}),
    }
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    archive.save(path, kept, more)
    return len(names), told


def _npz_about(path: str) -> dict[str, object] | None:
    if not os.path.exists(path):
        return None
    from abe_tf.retrieval import archive

    try:
        _, arrays = archive.load_all(path)
        return json.loads(str(arrays["handed_over"]))
    except (InputError, KeyError, ValueError) as error:
        raise InputError(
            "--at must be a new file, or one that abe_tf.hand_over wrote. "
            f"Received: {path!r}, a file of another kind."
        ) from error
