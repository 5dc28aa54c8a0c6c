"""A folder for faiss: an index that gives candidates, and what re-ranks them.

candidates.faiss        inner product of the learners side by side, 8 bits a number
learner_embeddings.npy  float32 [contents, learners, dim]
photos.csv              id, path, label, in the same order
about.json              what made the embeddings: learners, dim, dims and lengths where
                        learners differ, weights, fingerprint
"""

from __future__ import annotations

import csv
import json
import os

import numpy as np

from abe_tf.engines.files import Source
from abe_tf.engines.target import missing_package
from abe_tf.errors import InputError
from abe_tf.layout import Layout
from abe_tf.retrieval import shards
from abe_tf.storage import folders
from abe_tf.storage.files import write_atomically

# Rows from which lists of near vectors are visited instead of all.
_WORTH_LISTS = 200_000
_CANDIDATES, _EMBEDDINGS = "candidates.faiss", "learner_embeddings.npy"
_PHOTOS, _ABOUT = "photos.csv", "about.json"


def write(source: Source, folder: str, since_last: bool) -> tuple[int, str]:
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
    before = _about(folder)
    model.check(before, f"{folder!r}")
    told = (
        f"{_CANDIDATES} orders by inner product of the learners side by side, 8 bits a "
        "number; abe_tf.engines.faiss_folder.Folder re-ranks its candidates by "
        f"{_EMBEDDINGS}, to the exact ensemble distance."
    )
    if since_last and before is not None and before.get("state") == state:
        return 0, told
    embeddings = source.embeddings()
    flat = model.layout.joined(embeddings)
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
            faiss.write_index(index, os.path.join(beside, _CANDIDATES))
            np.save(os.path.join(beside, _EMBEDDINGS), embeddings)
            rows = [(one.id, one.paths[0], one.label) for one in source.contents]
            text = shards.csv_text(("id", "path", "label"), rows)
            write_atomically(os.path.join(beside, _PHOTOS), text)
            about = json.dumps({**model.values(), "state": state}, indent=1)
            write_atomically(os.path.join(beside, _ABOUT), about)
            folders.replace(beside, folder)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"--at must be a folder that can be written. Received: {folder!r}: {error}."
        ) from error
    return len(ids), told


def _about(folder: str) -> dict[str, object] | None:
    if not os.path.exists(folder):
        return None
    try:
        with open(os.path.join(folder, _ABOUT), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise InputError(
            "--at must be a new folder, or one that abe_tf.hand_over wrote. "
            f"Received: {folder!r}: {error}."
        ) from error


class Folder:
    """A folder that `write` wrote, to be asked.

    Args:
      path: The folder.

    Raises:
      InputError: It is none, or damaged.
    """

    def __init__(self, path: str) -> None:
        try:
            import faiss
        except ImportError as error:
            raise missing_package(error) from error
        about = _about(path)
        if about is None:
            raise InputError(
                "A folder for faiss must be one that abe_tf.hand_over wrote. "
                f"Received: {path!r}, which does not exist."
            )
        try:
            self._index = faiss.read_index(os.path.join(path, _CANDIDATES))
            self._embeddings = np.load(os.path.join(path, _EMBEDDINGS), mmap_mode="r")
            text = os.path.join(path, _PHOTOS)
            with open(text, encoding="utf-8", newline="") as file:
                photos = [(int(row["id"]), row["path"]) for row in csv.DictReader(file)]
            self._weights = np.array(about["weights"])
            self._layout = Layout.of(about)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise InputError(
                "A folder for faiss must be one that abe_tf.hand_over wrote. "
                f"Received: {path!r}: {error}."
            ) from error
        self._ids = np.array([number for number, _ in photos], np.int64)
        self._paths = [path for _, path in photos]
        lists = faiss.try_extract_index_ivf(self._index)
        if lists is not None:
            # A sixteenth of the lists: with a class in each, fewer find too little.
            lists.nprobe = max(1, lists.nlist // 16)

    def nearest(
        self, query: np.ndarray, k: int = 10, candidates: int = 100
    ) -> list[tuple[int, float, str]]:
        """The nearest contents: number, ensemble distance, path.

        Args:
          query: float32 `[learners, dim]`.
          k: Hits.
          candidates: Number of contents, the first by inner product, that are ranked.
        """
        count = max(1, min(candidates, len(self._ids)))
        _, found = self._index.search(self._layout.joined(query[np.newaxis]), count)
        # Where fewer were found, faiss fills up with -1.
        places = np.sort(np.searchsorted(self._ids, found[0][found[0] >= 0]))
        differences = self._embeddings[places].astype(np.float64) - query
        distances = np.linalg.norm(differences, axis=-1) @ self._weights
        return [
            (int(self._ids[place]), float(distance), self._paths[place])
            for distance, place in sorted(zip(distances, places, strict=True))[:k]
        ]
