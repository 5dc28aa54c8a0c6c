"""Flags of evaluation, and of whatever else starts from a run folder."""

from __future__ import annotations

import dataclasses
import os

from abe_tf.config.data import DataConfig
from abe_tf.config.groups import Group, option
from abe_tf.errors import InputError

CHECKPOINTS = ("best", "last")
SPLITS = ("test", "validation", "train")


@dataclasses.dataclass(frozen=True)
class RunConfig(Group):
    """Which run folder."""

    workdir: str | None = option(
        None,
        "the run folder; train: runs/NAME for --flagfile=flags/NAME.cfg; sweep: the "
        "folder of its runs, runs/sweep_NAME",
    )

    def require(self) -> str:
        """The run folder of a finished or interrupted training.

        Raises:
          InputError: None was given, or it is no run folder.
        """
        if not self.workdir:
            raise InputError(
                "--workdir must name the run folder that training wrote. "
                "Received: none."
            )
        if not os.path.isdir(self.workdir):
            raise InputError(
                "--workdir must be a run folder that training wrote. "
                f"Received: {self.workdir!r}, which does not exist. "
                "Train first, or correct the path."
            )
        return self.workdir


@dataclasses.dataclass(frozen=True)
class CheckpointConfig(Group):
    """Which of a run's checkpoints."""

    checkpoint: str = option(
        "best",
        "best by Recall@1 on the validation classes (the last one where none were "
        "held out), or last",
        choices=CHECKPOINTS,
    )


@dataclasses.dataclass(frozen=True)
class EvaluationConfig(Group):
    """What is measured, and in what portions."""

    recall_at: tuple[int, ...] = option(
        (),
        "the K of Recall@K, with commas between; the paper's for the data set where "
        "none are given (1,2,4,8 for those that it has not)",
        lower=1,
    )
    eval_batch_size: int = option(64, "images that are embedded at once", lower=1)
    block: int = option(
        512, "edge of the tiles of the distance matrix; memory grows with it", lower=1
    )

    def ks(self, data: DataConfig) -> tuple[int, ...]:
        """The K of Recall@K for a data set, without repetition, smallest first."""
        return tuple(sorted(set(self.recall_at or data.recall_at)))


@dataclasses.dataclass(frozen=True)
class SplitConfig(Group):
    """Which classes a command evaluates, and where the photos are now."""

    split: str = option("test", "the classes that are evaluated", choices=SPLITS)
    data_dir: str | None = option(
        None, "where the photos are, if they moved since training"
    )

    def moved(self, data: DataConfig) -> DataConfig:
        """The data flags of a run, with the photos where they are now."""
        if self.data_dir is None:
            return data
        return dataclasses.replace(data, data_dir=self.data_dir)
