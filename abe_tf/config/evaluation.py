"""Flags of evaluation, and of whatever else starts from a run folder."""

from __future__ import annotations

import dataclasses
import os

from abe_tf.config.data import CHECKS, ON_BAD_IMAGE, DataConfig
from abe_tf.config.groups import Group, option
from abe_tf.errors import InputError

CHECKPOINTS = ("best", "last")
SPLITS = ("test", "validation", "train")
# Flags of the data that a command after training takes too.
PLACES = (
    *("data_dir", "image_list", "manual_dir", "on_bad_image", "check"),
    *("cache_dir", "cache_gb", "max_pixels"),
)


@dataclasses.dataclass(frozen=True)
class RunConfig(Group):
    """Which run folder."""

    workdir: str | None = option(
        None,
        "the run folder; train: runs/NAME for --flagfile=flags/NAME.cfg; sweep: the "
        "folder of its runs, runs/sweep_NAME; compare: runs/compared_NAME, with "
        "--budgets runs/budgets_NAME",
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
        "held out), last, or the folder of a checkpoint of this run",
    )

    def check_together(self) -> None:
        """Refuses what is neither of the two nor a checkpoint."""
        if self.checkpoint in CHECKPOINTS:
            return
        if not os.path.isdir(self.checkpoint):
            raise InputError(
                "--checkpoint must be best, last, or the folder of a checkpoint. "
                f"Received: {self.checkpoint!r}, which does not exist."
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
class EmbeddingsConfig(Group):
    """Embeddings on disk, and what else is measured of them."""

    save_embeddings: str | None = option(
        None, "an .npz file that the embeddings are written to, with ids and labels"
    )
    embeddings: str | None = option(
        None,
        "evaluates such a file instead of a model; of another tool the arrays "
        "embeddings and labels are enough",
    )
    clustering: bool = option(True, "measure NMI and F1 of k-means too")
    keep_embeddings: bool = option(
        True,
        "keep embeddings and ranks in the run folder, so that abe_tf.report need not "
        "measure again",
    )
    compare_checkpoints: bool = option(
        False, "measure recall of the other of the best and the last checkpoint too"
    )

    def check_together(self) -> None:
        """Refuses to write what was read, and what a file does not have."""
        if self.save_embeddings and self.embeddings:
            raise InputError(
                "--save_embeddings needs a model. Received: --embeddings too. Leave "
                "one out."
            )
        if self.compare_checkpoints and self.embeddings:
            raise InputError(
                "--compare_checkpoints needs a run. Received: --embeddings instead. "
                "Leave one out."
            )

    def check_paths(self) -> None:
        """Checks that what is read exists, and that what is written can be.

        Raises:
          InputError: It is not so.
        """
        if self.embeddings and not os.path.isfile(self.embeddings):
            raise InputError(
                f"--embeddings must be an .npz file. Received: {self.embeddings!r}, "
                "which does not exist."
            )
        path = self.save_embeddings
        if not path:
            return
        if not path.endswith(".npz"):
            raise InputError(f"--save_embeddings must end in .npz. Received: {path!r}.")
        if not os.path.isdir(os.path.dirname(path) or "."):
            raise InputError(
                f"--save_embeddings must lie in a folder. Received: {path!r}, whose "
                "folder does not exist."
            )


@dataclasses.dataclass(frozen=True)
class ReportConfig(Group):
    """Which run folders a report is of, and where it goes."""

    workdir: tuple[str, ...] = option(
        (),
        "a run folder, or that of a sweep; several times for several side by side",
        repeated=True,
    )
    report_dir: str | None = option(
        None, "where report.html and pictures/ go; the run folder where it is one"
    )

    def folder(self) -> str:
        """Where the report goes.

        Raises:
          InputError: No run folder was given, one does not exist, or several are
            without a place for what they have in common.
        """
        if not self.workdir:
            raise InputError(
                "--workdir must name a run folder that training wrote. Received: none."
            )
        for path in self.workdir:
            if not os.path.isdir(path):
                raise InputError(
                    "--workdir must be a run folder that training wrote. "
                    f"Received: {path!r}, which does not exist."
                )
        names = [os.path.basename(os.path.abspath(path)) for path in self.workdir]
        if len(set(names)) < len(names):
            raise InputError(
                "Run folders of one report must differ in their last name. "
                f"Received: {', '.join(self.workdir)}."
            )
        if self.report_dir:
            return self.report_dir
        if len(self.workdir) > 1:
            raise InputError(
                "--report_dir must say where the report of several runs goes. "
                "Received: none."
            )
        return self.workdir[0]

    def sweeps(self) -> list[str]:
        """Folders that may be a sweep's: those given, and those that they lie in."""
        folders = []
        for path in self.workdir:
            folders += [path, os.path.dirname(os.path.abspath(path))]
        return list(dict.fromkeys(os.path.abspath(path) for path in folders))


@dataclasses.dataclass(frozen=True)
class SplitConfig(Group):
    """Which classes a command evaluates, and where the photos are now."""

    split: str = option("test", "the classes that are evaluated", choices=SPLITS)
    data_dir: str | None = option(
        None, "where the photos are, if they moved since training"
    )
    image_list: str | None = option(
        None, "the run's list of images, if it moved since training"
    )
    manual_dir: str | None = option(
        None, "where a benchmark's archives are, if it must be made anew"
    )
    on_bad_image: str | None = option(
        None,
        "what to do with images that cannot be read; as the run where none is given",
        choices=ON_BAD_IMAGE,
    )
    check: str | None = option(
        None,
        "how all images are checked before; as the run where none is given",
        choices=CHECKS,
    )
    cache_dir: str | None = option(
        None, "where converted photos are kept; as the run where none is given"
    )
    cache_gb: float | None = option(
        None, "how large that may become; as the run where none is given", lower=0
    )
    max_pixels: int | None = option(
        None,
        "images of more pixels are refused; as the run where none is given",
        lower=1,
    )

    def moved(self, data: DataConfig) -> DataConfig:
        """The data flags of a run, with the photos where they are now.

        Raises:
          InputError: The run has no use for a place that was given.
        """
        if self.image_list and not data.image_list:
            raise InputError(
                "--image_list may say where the list of a run is now. "
                f"Received: {self.image_list!r} for a run without one. Leave it out."
            )
        given = {name: getattr(self, name) for name in PLACES}
        places = {name: value for name, value in given.items() if value is not None}
        return dataclasses.replace(data, **places)
