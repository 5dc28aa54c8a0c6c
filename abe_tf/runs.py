"""The run folder: the only door between training and everything after it.

WORKDIR/flags.cfg     the flags, to be read again with --flagfile
WORKDIR/run.json      versions, git revision, machine
WORKDIR/checkpoints/  the last two, to go on from
WORKDIR/best/         the best by validation recall
WORKDIR/tensorboard/  event files
WORKDIR/results.json  what evaluation measured last
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from abe_tf.config.data import DataConfig
from abe_tf.config.groups import Group, read_flagfile, write_flagfile
from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from abe_tf.data.preprocessing import Preprocessing

# What a run was started with, in the order of its flagfile.
_GROUPS: tuple[type[Group], ...] = (ModelConfig, DataConfig, LossConfig, TrainingConfig)
# May change between the sessions of one run: where things lie, how often it reports.
_MAY_CHANGE = {
    *("data_dir", "encoder_weights", "init_from", "strategy"),
    *("log_every", "eval_every", "checkpoint_every"),
}
_PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "numpy")


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Names of what lies in a run folder."""

    path: str

    @property
    def flags(self) -> str:
        """The flagfile."""
        return os.path.join(self.path, "flags.cfg")

    @property
    def tensorboard(self) -> str:
        """Folder of event files."""
        return os.path.join(self.path, "tensorboard")

    @property
    def results(self) -> str:
        """What evaluation measured last."""
        return os.path.join(self.path, "results.json")

    def checkpoints(self, which: str) -> str:
        """Folder of the checkpoints, "best" or "last"."""
        return os.path.join(self.path, "best" if which == "best" else "checkpoints")

    def check(self, configs: Sequence[Group]) -> None:
        """Checks that a training may write here; changes nothing.

        Raises:
          InputError: The folder cannot be written, or holds a run with other flags.
        """
        try:
            _try_to_write(self.path)
        except OSError as error:
            raise InputError(
                "--workdir must be a folder that can be written. "
                f"Received: {self.path!r}: {error.strerror}."
            ) from error
        if os.path.exists(self.flags):
            self._check_same(configs)

    def _check_same(self, configs: Sequence[Group]) -> None:
        ours, theirs = _values(configs), _values(self.read_flags())
        differing = [
            f"--{name}={ours[name]} (was {theirs[name]})"
            for name in ours
            if name not in _MAY_CHANGE and ours[name] != theirs[name]
        ]
        if differing:
            raise InputError(
                f"A run goes on with the flags that it started with ({self.flags}). "
                f"Received: {', '.join(differing)}. Choose another --workdir, or start "
                "from its weights with --init_from."
            )

    def record(self, configs: Sequence[Group]) -> None:
        """Writes the flags and what else is needed to repeat the run."""
        os.makedirs(self.path, exist_ok=True)
        write_atomically(self.flags, write_flagfile(list(configs)))
        record = {
            "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
            "python": platform.python_version(),
            "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
            "git_revision": _git_revision(),
        }
        text = json.dumps(record, indent=2) + "\n"
        write_atomically(os.path.join(self.path, "run.json"), text)

    def read_flags(self) -> list[Any]:
        """The model's, data's, loss's and training's config, as the run has them.

        Raises:
          InputError: The folder holds no run, or one of an incompatible version.
        """
        try:
            with open(self.flags, encoding="utf-8") as file:
                return read_flagfile(file.read(), list(_GROUPS))
        except OSError as error:
            raise InputError(
                "--workdir must be a run folder that training wrote. "
                f"Received: {self.path!r}, without flags.cfg. Train first."
            ) from error

    def latest_checkpoint(self, which: str) -> str:
        """Prefix of a checkpoint's files.

        Args:
          which: "best", the last one where no best one was chosen, or "last".

        Raises:
          InputError: There is none.
        """
        import tensorflow as tf

        for kind in dict.fromkeys([which, "last"]):
            path = tf.train.latest_checkpoint(self.checkpoints(kind))
            if path:
                return path
        raise InputError(
            "--workdir must hold a checkpoint. "
            f"Received: {self.path!r} without one. Let training write one first."
        )


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A network with the weights of a run.

    Attributes:
      network: uint8 RGB `[batch, image_size, image_size, 3]` to learner embeddings.
      preprocessing: From the bytes of an image file to such pixels.
      data: The data flags of the run.
      checkpoint: The checkpoint's name.
    """

    network: tf.keras.Model
    preprocessing: Preprocessing
    data: DataConfig
    checkpoint: str

    def embed(self, paths: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Embeds image files.

        Args:
          paths: JPEG or PNG files.
          batch_size: Images that are embedded at once.

        Returns:
          Learner embeddings, float32 `[len(paths), learners, dim]`, unit length.

        Raises:
          InputError: A file is missing or no image; no path was given.
        """
        from abe_tf.retrieval.embedding import embed_files

        return embed_files(self.network, self.preprocessing, list(paths), batch_size)


def load(workdir: str, checkpoint: str = "best") -> TrainedModel:
    """Builds the network of a run and fills it with a checkpoint's weights.

    Args:
      workdir: The run folder.
      checkpoint: "best" or "last".

    Raises:
      InputError: The folder holds no such run or checkpoint.
    """
    folder = RunFolder(workdir)
    model, data, _, _ = folder.read_flags()
    path = folder.latest_checkpoint(checkpoint)
    from abe_tf.data.preprocessing import Preprocessing
    from abe_tf.models.build import build

    network = build(model, data.image_size, load_pretrained=False)
    restore_network(network, path)
    preprocessing = Preprocessing(data.image_size, data.scaled_size, data.random_flip)
    return TrainedModel(network, preprocessing, data, os.path.basename(path))


def initialise(network: tf.keras.Model, model: ModelConfig, workdir: str) -> None:
    """Starts a network from the weights of another run.

    Raises:
      InputError: That run's network is another one, or it has no checkpoint.
    """
    folder = RunFolder(workdir)
    theirs = folder.read_flags()[0]
    names = ("encoder", "mobilenet_alpha", "ensemble", "num_learners", "embedding_dim")
    differing = [
        f"--{name}={getattr(model, name)} (there {getattr(theirs, name)})"
        for name in names
        if getattr(model, name) != getattr(theirs, name)
    ]
    if differing:
        raise InputError(
            "--init_from must be a run of the same network. "
            f"Received: {workdir!r}, but {', '.join(differing)}."
        )
    restore_network(network, folder.latest_checkpoint("best"))


def restore_network(network: tf.keras.Model, path: str) -> None:
    """Fills a network from a checkpoint.

    Raises:
      InputError: The checkpoint is unreadable, or of another network.
    """
    import tensorflow as tf

    from abe_tf.restoring import restore

    restore(tf.train.Checkpoint(network=network), path)


def write_atomically(path: str, text: str) -> None:
    """Writes a file beside and renames it, so that no half of it is ever seen."""
    beside = f"{path}.{os.getpid()}.tmp"
    with open(beside, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(beside, path)


def _values(configs: Sequence[Group]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for config in configs:
        values |= dataclasses.asdict(config)  # type: ignore[call-overload]
    return values


def _try_to_write(path: str) -> None:
    """Makes the folder and a file in it, and takes away again what was not there."""
    with contextlib.ExitStack() as undo:
        for folder in _missing_folders(path):
            os.mkdir(folder)
            undo.callback(os.rmdir, folder)
        with tempfile.TemporaryFile(dir=path):
            pass


def _missing_folders(path: str) -> Iterator[str]:
    """The folders of a path that do not exist, outermost first."""
    parent = os.path.dirname(os.path.abspath(path))
    if not os.path.exists(path):
        yield from _missing_folders(parent)
        yield path


def _git_revision() -> str | None:
    """Of the checkout this package lies in; `None` outside one."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        result = subprocess.run(
            command,
            cwd=os.path.dirname(os.path.abspath(__file__)),
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return result.stdout.strip() or None
