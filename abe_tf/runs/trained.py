"""Trained models: the only door between training and everything after it."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from abe_tf.config.data import DataConfig
from abe_tf.config.evaluation import CHECKPOINTS
from abe_tf.errors import InputError
from abe_tf.retrieval import calibration
from abe_tf.retrieval.calibration import Calibration
from abe_tf.runs.folder import RunFolder
from abe_tf.storage import checkpoints
from abe_tf.storage.files import write_atomically

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from abe_tf.data.pixels.preprocessing import Preprocessing
    from abe_tf.retrieval.embedding import FileEmbedder, FilePlaces
    from abe_tf.retrieval.explanation import Explanation


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A network with the weights of a run.

    Attributes:
      network: uint8 RGB `[batch, height, width, 3]` to learner embeddings.
      preprocessing: From the bytes of an image file to such pixels.
      data: The data flags of the run.
      checkpoint: The checkpoint's name.
      calibration: How sure its distances make; `None` where nobody has measured that.
    """

    network: tf.keras.Model
    preprocessing: Preprocessing
    data: DataConfig
    checkpoint: str
    calibration: Calibration | None = None

    def fingerprint(self) -> str:
        """16 hexadecimal digits that tell these weights from others.

        >>> load("runs/mine").fingerprint() == load("runs/mine").fingerprint()
        True
        """
        digest = hashlib.sha256()
        for weight in self.network.get_weights():
            digest.update(weight.tobytes())
        return digest.hexdigest()[:16]

    def embed(
        self, paths: Sequence[str | os.PathLike[str]], batch_size: int = 64
    ) -> np.ndarray:
        """Embeds image files.

            >>> model = load("runs/mine")
            >>> model.embed(["a.jpg", "b.jpg"]).shape
            (2, 2, 8)

        Args:
          paths: JPEG, PNG, BMP or GIF files, or WebP, TIFF, AVIF or HEIC files, which
            are converted in memory.
          batch_size: Images that are embedded at once.

        Returns:
          Learner embeddings, float32 `[len(paths), learners, dim]`.

        Raises:
          InputError: A file is missing or no image; no path was given.
        """
        if isinstance(paths, (str, os.PathLike)):
            raise InputError(
                f"embed takes a list of paths. Received: {os.fspath(paths)!r} alone."
            )
        return self._files([os.fspath(path) for path in paths], batch_size)

    def explain(
        self, one: str | os.PathLike[str], other: str | os.PathLike[str]
    ) -> Explanation:
        """Splits the cosines of two image files over the places of both.

            >>> why = load("runs/mine").explain("a.jpg", "b.jpg")
            >>> one, other = why.sides
            >>> parts = one.maps.sum((1, 2)) + one.bias
            >>> bool(abs(parts - why.cosines).max() < 1e-5)
            True

        Args:
          one: A file, as for `embed`.
          other: Another one.

        Raises:
          InputError: A file is missing or no image.
        """
        from abe_tf.retrieval.explanation import explain

        places = self._places
        return explain(places(os.fspath(one)), places(os.fspath(other)))

    @functools.cached_property
    def _places(self) -> FilePlaces:
        """Traced at the first photo, and then no more."""
        from abe_tf.models.places import PlacesNetwork
        from abe_tf.retrieval.embedding import FilePlaces

        return FilePlaces(PlacesNetwork(self.network), self.preprocessing)

    @functools.cached_property
    def _files(self) -> FileEmbedder:
        """Traced at the first photo, and then no more."""
        from abe_tf.retrieval.embedding import FileEmbedder

        return FileEmbedder(self.network, self.preprocessing)


def load(
    workdir: str,
    checkpoint: str = "best",
    precision: str | None = None,
    max_pixels: int | None = None,
) -> TrainedModel:
    """Builds the network of a run and fills it with a checkpoint's weights.

    Args:
      workdir: The run folder.
      checkpoint: "best" or "last", or the folder of one of its checkpoints.
      precision: What convolutions compute in; the run's where `None`.
      max_pixels: Larger images are refused; the run's bound where `None`.

    Raises:
      InputError: The folder holds no such run or checkpoint.
    """
    folder = RunFolder(workdir)
    flags = folder.flags()
    model, data = flags.model, flags.data
    if precision is not None:
        model = dataclasses.replace(model, precision=precision)
    where = folder.with_checkpoints(checkpoint)
    from abe_tf.data.pixels.preprocessing import Preprocessing
    from abe_tf.models.build import build
    from abe_tf.storage.contents import restore_network

    network = build(model, data.image_size, load_pretrained=False)
    path = restore_network(
        network,
        where,
        has_averages=flags.training.ema_momentum > 0,
        is_one=checkpoint not in CHECKPOINTS,
        say=lambda text: print(text, file=sys.stderr),
    )
    if max_pixels is not None:
        data = dataclasses.replace(data, max_pixels=max_pixels)
    name, fitted = os.path.basename(path), calibration_of(folder, path)
    return TrainedModel(network, Preprocessing.of(data), data, name, fitted)


def calibration_of(folder: RunFolder, checkpoint: str) -> Calibration | None:
    """How sure the distances of a run's checkpoint make, where it was measured.

    Args:
      folder: The run folder.
      checkpoint: The checkpoint's own folder.
    """
    remedy = (
        f"python -m abe_tf.evaluate --workdir={folder.path} --split=validation "
        f"--checkpoint={checkpoint} writes it anew."
    )
    return calibration.read(os.path.join(checkpoint, calibration.FILE), remedy)


def keep_calibration(
    folder: RunFolder, checkpoint: str, name: str, fitted: Calibration
) -> None:
    """Keeps with a checkpoint how sure its distances make.

    Args:
      folder: The run folder.
      checkpoint: "best" or "last", or the checkpoint's own folder.
      name: The checkpoint's name.
      fitted: What was measured.

    Raises:
      InputError: It cannot be written.
    """
    path = folder.with_checkpoints(checkpoint)
    if checkpoint in CHECKPOINTS:
        path = os.path.join(path, name)
    write_atomically(os.path.join(path, calibration.FILE), fitted.text())


def newest_calibration(workdir: str, checkpoint: str) -> Calibration | None:
    """The calibration of the checkpoint that `load` would take, without TensorFlow.

    Args:
      workdir: The run folder.
      checkpoint: "best" or "last", or the folder of one of its checkpoints.

    Raises:
      InputError: The folder holds no such run or checkpoint.
    """
    folder = RunFolder(workdir)
    path = folder.with_checkpoints(checkpoint)
    if checkpoint in CHECKPOINTS:
        path = checkpoints.path(path, checkpoints.steps(path)[-1])
    return calibration_of(folder, path)


def initialise(network: tf.keras.Model, workdir: str) -> None:
    """Starts a network from the weights of another run of the same network.

    Raises:
      InputError: It has no readable checkpoint, or other layers.
    """
    from abe_tf.models.weights.pretrained import copy_in_order

    # Through that run's own network: what it trains and averages may be other
    # variables than those that train here.
    source = load(workdir).network
    try:
        copy_in_order(source, network)
    except ValueError as error:
        # Where one of them leaves its taps to the encoder, or towers see another size.
        raise InputError(
            "--init_from must be a run of the same network. "
            f"Received: {workdir!r}, whose layers differ. Compare --image_size and "
            "--hdc_taps with those of its flags.cfg."
        ) from error
