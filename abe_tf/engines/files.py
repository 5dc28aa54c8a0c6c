"""Files of an index: Parquet shards, an .npz archive, a folder for faiss.

They are written whole, each beside first and then renamed; where nothing has changed
since, they are left as they are.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import os
from collections.abc import Sequence

import numpy as np

from abe_tf.engines.target import missing_package
from abe_tf.errors import InputError
from abe_tf.photo_index import handing
from abe_tf.photo_index.handing import Handed, Model
from abe_tf.photo_index.searching import Moment
from abe_tf.retrieval import archive, shards
from abe_tf.retrieval.embedded import Embedded
from abe_tf.retrieval.shards import Manifest, Row
from abe_tf.storage import folders
from abe_tf.storage.files import write_atomically

_SHARD, _PORTION = 10_000, 4_096
# Rows from which lists of near vectors are visited instead of all.
_WORTH_LISTS = 200_000
CANDIDATES, EMBEDDINGS, IDS = "candidates.faiss", "learner_embeddings.npy", "ids.npy"
PHOTOS, ABOUT = "photos.csv", "about.json"


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
    photos = [(one, path) for one in source.contents for path in one.paths]
    model = source.model
    manifest = Manifest(
        fingerprint=model.fingerprint,
        learners=model.learners,
        dim=model.dim,
        weights=model.weights,
        preprocessing={},
        model=source.moment.about["source"].get("model_dir") or "",
        list=model.index,
        photos=len(photos),
        shard_size=_SHARD,
    )
    before = _shards_before(prefix, model)
    os.makedirs(os.path.dirname(prefix) or ".", exist_ok=True)
    count = 0
    for shard in range(manifest.shards):
        part = photos[shard * _SHARD : (shard + 1) * _SHARD]
        path = shards.name(prefix, shard, shards.PARQUET)
        text = "\n".join(f"{one.id} {one.state} {path}" for one, path in part)
        state = hashlib.sha256(text.encode()).hexdigest()
        if since_last and os.path.isfile(path) and shards.about(path)["state"] == state:
            continue
        rows = [_row(one, place) for one, place in part]
        contents = [one for one, _ in part]
        parts = handing.portions(source.moment, contents, _PORTION)
        embeddings = np.concatenate([part for _, part in parts])
        told = {**manifest.of_model(), "state": state}
        write_atomically(path, shards.encoded(rows, embeddings, told))
        count += len(part)
    write_atomically(prefix + shards.MANIFEST, manifest.text())
    for shard in range(manifest.shards, before):
        os.remove(shards.name(prefix, shard, shards.PARQUET))
    return count, (
        "A row a photo; its column embedding holds the learners side by side, and the "
        "manifest their number, size and weights. The ensemble distance is the "
        "weighted mean of the learners' Euclidean distances; inner products of the "
        "whole order by their squares, which is not the same."
    )


def _shards_before(prefix: str, model: Model) -> int:
    """How many shards there are.

    Raises:
      InputError: They are of another index, or of abe_tf.embed.
    """
    path = prefix + shards.MANIFEST
    if not os.path.isfile(path):
        return 0
    with open(path, "rb") as file:
        before = Manifest.parse(file.read(), path)
    held = {**before.of_model(), "index": before.list}
    held["weights"] = list(before.weights)
    model.check(held, f"{path!r}")
    return before.shards


def _row(one: Handed, path: str) -> Row:
    return Row(
        id=one.digest,
        path=path,
        label=one.label,
        bytes=one.bytes,
        mtime_ns=one.mtime_ns,
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
    _, arrays = archive.load_all(path)
    if "handed_over" not in arrays:
        raise InputError(
            "--at must be a new file, or one that abe_tf.hand_over wrote. "
            f"Received: {path!r}, an archive of another kind."
        )
    return json.loads(str(arrays["handed_over"]))


def write_faiss(source: Source, folder: str, since_last: bool) -> tuple[int, str]:
    """Writes a folder with an index of faiss, and what re-ranks its answers.

    Args:
      source: What.
      folder: The folder.
      since_last: Whether a folder that holds this is left.

    Returns:
      How many rows were written, and how they are read.

    Raises:
      InputError: It is another index's, or something else; it cannot be written.
    """
    try:
        import faiss
    except ImportError as error:
        raise missing_package(error) from error
    folder = os.path.abspath(folder)
    model, state = source.model, source.state()
    before = _faiss_about(folder)
    model.check(before, f"{folder!r}")
    told = (
        f"{CANDIDATES} orders by inner product of the learners side by side, 8 bits a "
        "number; abe_tf.engines.files.nearest re-ranks its candidates by "
        f"{EMBEDDINGS}, to the exact ensemble distance."
    )
    if since_last and before is not None and before.get("state") == state:
        return 0, told
    embeddings = source.embeddings()
    flat = embeddings.reshape(len(embeddings), -1)
    ids = np.array([one.id for one in source.contents], np.int64)
    kind = "SQ8"
    if len(flat) >= _WORTH_LISTS:
        kind = f"IVF{int(4 * len(flat) ** 0.5)},SQ8"
    index = faiss.index_factory(
        flat.shape[1], f"IDMap2,{kind}", faiss.METRIC_INNER_PRODUCT
    )
    index.train(flat)
    index.add_with_ids(flat, ids)
    try:
        with folders.incomplete(os.path.dirname(folder)) as beside:
            faiss.write_index(index, os.path.join(beside, CANDIDATES))
            np.save(os.path.join(beside, EMBEDDINGS), embeddings)
            np.save(os.path.join(beside, IDS), ids)
            rows = [(one.id, one.paths[0], one.label) for one in source.contents]
            text = shards.csv_text(("id", "path", "label"), rows)
            write_atomically(os.path.join(beside, PHOTOS), text)
            about = json.dumps({**model.values(), "state": state}, indent=1)
            write_atomically(os.path.join(beside, ABOUT), about)
            folders.replace(beside, folder)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"--at must be a folder that can be written. Received: {folder!r}: {error}."
        ) from error
    return len(ids), told


def _faiss_about(folder: str) -> dict[str, object] | None:
    if not os.path.exists(folder):
        return None
    try:
        with open(os.path.join(folder, ABOUT), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise InputError(
            "--at must be a new folder, or one that abe_tf.hand_over wrote. "
            f"Received: {folder!r}: {error}."
        ) from error


def nearest(
    folder: str, query: np.ndarray, k: int = 10, candidates: int = 100
) -> list[tuple[int, float, str]]:
    """The nearest contents of a folder for faiss: number, ensemble distance, path.

    Args:
      folder: What `write_faiss` wrote.
      query: float32 `[learners, dim]`, unit length.
      k: Hits.
      candidates: Number of contents, the first by inner product, that are ranked.
    """
    import faiss

    with open(os.path.join(folder, ABOUT), encoding="utf-8") as file:
        weights = json.load(file)["weights"]
    index = faiss.read_index(os.path.join(folder, CANDIDATES))
    ids = np.load(os.path.join(folder, IDS))
    embeddings = np.load(os.path.join(folder, EMBEDDINGS), mmap_mode="r")
    lists = faiss.try_extract_index_ivf(index)
    if lists is not None:
        # A sixteenth of the lists: with a class in each, fewer find too little.
        lists.nprobe = max(1, lists.nlist // 16)
    _, found = index.search(query.reshape(1, -1), min(candidates, len(ids)))
    # Where fewer were found, faiss fills up with -1.
    places = np.sort(np.searchsorted(ids, found[0][found[0] >= 0]))
    learners = np.linalg.norm(embeddings[places].astype(np.float64) - query, axis=-1)
    distances = learners @ np.array(weights)
    order = np.argsort(distances, kind="stable")[:k]
    with open(os.path.join(folder, PHOTOS), encoding="utf-8", newline="") as file:
        paths = [row["path"] for row in csv.DictReader(io.StringIO(file.read()))]
    return [
        (int(ids[places[one]]), float(distances[one]), paths[places[one]])
        for one in order
    ]
