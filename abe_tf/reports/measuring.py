"""Measures a checkpoint of a run: for the table, the report, and whoever asks next.

What was measured is kept in the run folder with the embeddings. It is found again by
the fingerprints of weights and images, so that a report draws what an evaluation has
measured, and measures only what nobody has.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from abe_tf.config.evaluation import EvaluationConfig, SplitConfig
from abe_tf.data.examples import Examples, Splits
from abe_tf.errors import InputError
from abe_tf.retrieval import archive as archives
from abe_tf.retrieval import calibration, evaluation
from abe_tf.retrieval.archive import Archive
from abe_tf.retrieval.calibration import Calibration
from abe_tf.retrieval.embedded import Embedded
from abe_tf.retrieval.evaluation import Measurements
from abe_tf.retrieval.recall import Recall, measure_recall
from abe_tf.runs import embeddings, trained
from abe_tf.runs.folder import RunFolder
from abe_tf.runs.trained import TrainedModel

# What is kept beside the arrays of an archive.
_RANKS, _MEASURED, _IMAGES = "ranks", "measured", "images"


@dataclasses.dataclass(frozen=True)
class Measured:
    """A checkpoint's embeddings of a split, and what was measured of them."""

    archive: Archive
    evaluation: Measurements

    def as_json(self) -> dict[str, Any]:
        """What results.json holds."""
        about = self.archive.about
        return {**self.evaluation.as_json(about.get("dataset", "unknown")), **about}


class Measuring:
    """Measures checkpoints of one run on the images of one split.

    Args:
      folder: The run folder.
      split: The split, and where the images are now.
      options: The K of Recall@K, and the portions in which is measured.

    Raises:
      InputError: The run's images are not there, or the split has none.
    """

    def __init__(
        self, folder: RunFolder, split: SplitConfig, options: EvaluationConfig
    ) -> None:
        data = split.moved(folder.flags().data)
        self._folder, self._split, self._options = folder, split.split, options
        self._max_pixels = data.max_pixels
        self._ks = options.ks(data)
        self._splits = embeddings.images(folder, data, split.split)

    @property
    def splits(self) -> Splits:
        """The images of the run."""
        return self._splits

    def load(self, checkpoint: str) -> TrainedModel:
        """The run's network with the weights of a checkpoint.

        Raises:
          InputError: There is no such checkpoint.
        """
        path, max_pixels = self._folder.path, self._max_pixels
        return trained.load(path, checkpoint, max_pixels=max_pixels)

    def embed(self, model: TrainedModel) -> Archive:
        """Embeds the images of the split, and the gallery if it has one.

        Raises:
          InputError: An image cannot be read, or an embedding is not finite.
        """
        size = self._options.eval_batch_size
        return embeddings.embed(model, self._splits, self._split, size)

    def measure(
        self, archive: Archive, cluster: bool = True, more_ks: Sequence[int] = ()
    ) -> Measured:
        """Measures embeddings.

        Args:
          archive: The embeddings.
          cluster: Whether to run k-means.
          more_ks: K of Recall@K besides those that were asked for.
        """
        ks = self._all_ks(more_ks)
        evaluated = evaluation.evaluate(archive, ks, self._options.block, cluster)
        return Measured(archive, evaluated)

    def recall(self, archive: Archive) -> Recall:
        """Measures recall alone."""
        block = self._options.block
        return measure_recall(archive.queries, self._ks, block, archive.gallery)

    def embed_trained(self, model: TrainedModel) -> Embedded | None:
        """Embeds some images that trained, for `calibrate`; `None` for other splits.

        Raises:
          InputError: An image cannot be read, or an embedding is not finite.
        """
        if self._split != "validation":
            return None
        some = self._splits.train.evenly(calibration.TRAINED)
        splits = dataclasses.replace(self._splits, train=some)
        size = self._options.eval_batch_size
        return embeddings.embed(model, splits, "train", size).queries

    def calibrate(
        self, archive: Archive, others: Embedded, checkpoint: str
    ) -> Calibration | None:
        """Keeps with a checkpoint how sure its distances make.

        Args:
          archive: Its embeddings of classes that it was not trained on.
          others: As `embed_trained` gives them.
          checkpoint: "best", "last", or its folder.

        Returns:
          `None` where no two images are of one class, or none are of two.

        Raises:
          InputError: It cannot be written.
        """
        fitted = calibration.calibrate(archive.queries, others, split=self._split)
        if fitted is not None:
            name = archive.about["checkpoint"]
            trained.keep_calibration(self._folder, checkpoint, name, fitted)
        return fitted

    def keep(self, measured: Measured) -> None:
        """Keeps in the run folder what was measured, in place of what was there.

        Raises:
          InputError: It cannot be written.
        """
        more: dict[str, np.ndarray | str] = {
            _RANKS: measured.evaluation.ranks,
            _MEASURED: json.dumps(measured.evaluation.besides_recall()),
            _IMAGES: self._fingerprint_of_images(),
        }
        archives.save(self._folder.embeddings(self._split), measured.archive, more)

    def kept(self, model: TrainedModel, more_ks: Sequence[int] = ()) -> Measured | None:
        """What was kept of these weights and these images, with k-means.

        Args:
          model: The weights.
          more_ks: K of Recall@K besides those that were asked for.

        Returns:
          `None` where it was never measured, or another model or other images were.
        """
        path = self._folder.embeddings(self._split)
        if not os.path.isfile(path):
            return None
        try:
            archive, more = archives.load_all(path)
            if archive.about.get("fingerprint") != model.fingerprint():
                return None
            if str(more[_IMAGES]) != self._fingerprint_of_images():
                return None
            # The same weights may be another checkpoint's by now.
            about = {**archive.about, "checkpoint": model.checkpoint}
            archive = dataclasses.replace(archive, about=about)
            besides: dict[str, Any] = json.loads(str(more[_MEASURED]))
            ks = self._all_ks(more_ks)
            restored = evaluation.restored(archive, ks, more[_RANKS], besides)
        except (
            *(InputError, KeyError, ValueError, TypeError),
            *(AttributeError, RecursionError),
        ) as error:
            print(f"Measured again: {path} is damaged ({error}).", file=sys.stderr)
            return None
        return Measured(archive, restored) if restored.clustering else None

    def _all_ks(self, more_ks: Sequence[int]) -> tuple[int, ...]:
        return tuple(sorted({*self._ks, *more_ks}))

    def _fingerprint_of_images(self) -> str:
        digest = hashlib.sha256()
        gallery = self._splits.gallery if self._split == "test" else None
        for examples in (getattr(self._splits, self._split), gallery):
            if examples is not None:
                digest.update(_fingerprint(examples).encode())
        return digest.hexdigest()


def _fingerprint(examples: Examples) -> str:
    """Tells images by names, labels, boxes, and the sizes and times of files."""
    digest = hashlib.sha256(examples.labels.tobytes())
    if examples.boxes is not None:
        digest.update(np.ascontiguousarray(examples.boxes).tobytes())
    for name in (
        *examples.names,
        *(() if examples.cameras is None else examples.cameras),
    ):
        digest.update(os.fsencode(str(name)) + b"\0")
    for path in examples.files or ():
        digest.update(f"{_stamp(path)}\n".encode())
    return digest.hexdigest()


def _stamp(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        # Whoever reads it names it.
        return "gone"
    return f"{status.st_size} {status.st_mtime_ns}"
