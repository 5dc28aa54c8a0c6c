"""Trains an ensemble; the same command again goes on where it stopped.

python -m abe_tf.train --flagfile=flags/digits_abe4.cfg
"""

from __future__ import annotations

import sys

from abe_tf.config import command
from abe_tf.config.data import DataConfig
from abe_tf.config.evaluation import EvaluationConfig, RunConfig
from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.run_folder import RunFolder, check_same_network


def main(
    run: RunConfig,
    model: ModelConfig,
    data: DataConfig,
    loss: LossConfig,
    training: TrainingConfig,
    evaluation: EvaluationConfig,
) -> None:
    """Checks what flags and paths alone show, then trains."""
    folder = RunFolder(run.workdir or command.default_workdir())
    data.check_paths()
    model.check_paths()
    model.check_image_size(data.image_size)
    if training.init_from:
        check_same_network(model, training.init_from)
    folder.check([model, data, loss, training])
    # From here on TensorFlow is needed, which takes seconds to import.
    from abe_tf.session import Session

    session = Session(folder, model, data, loss, training, evaluation)
    stopped_by = session.train()
    if stopped_by is not None:
        # As a shell reports a process that the signal ended: what comes next on a
        # command line must not take a part of a training for the whole.
        sys.exit(128 + stopped_by)


if __name__ == "__main__":
    command.run(
        main,
        *(RunConfig, ModelConfig, DataConfig, LossConfig),
        *(TrainingConfig, EvaluationConfig),
    )
