"""Trains an ensemble; the same command again goes on where it stopped.

python -m abe_tf.train --flagfile=flags/digits_abe4.cfg
"""

from __future__ import annotations

import contextlib
import signal
import sys

from abe_tf.config import cluster, command
from abe_tf.config.data import DataConfig
from abe_tf.config.evaluation import EvaluationConfig, RunConfig
from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.training import SessionConfig, TrainingConfig
from abe_tf.runs.flags import RunFlags
from abe_tf.runs.folder import RunFolder
from abe_tf.runs.same_network import check_same_network


def main(
    run: RunConfig,
    model: ModelConfig,
    data: DataConfig,
    loss: LossConfig,
    training: TrainingConfig,
    evaluation: EvaluationConfig,
    session: SessionConfig,
) -> None:
    """Checks what flags and paths alone show, then trains."""
    # Until the first step there is nothing to save.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    folder = RunFolder(run.workdir or command.default_workdir())
    flags = RunFlags(model, data, loss, training)
    flags.check_devices()
    data.check_paths()
    model.check_paths()
    model.check_image_size(data.image_size)
    if training.init_from:
        check_same_network(model, training.init_from)
    with contextlib.ExitStack() as held:
        if cluster.from_environment().is_chief:
            folder.check_writable()
            if not session.dry_run:
                held.enter_context(folder.training())
            folder.check_may_train(flags)
        # From here on TensorFlow is needed, which takes seconds to import.
        from abe_tf.session.flags import SessionFlags
        from abe_tf.session.session import Session
        from abe_tf.training import allocator

        allocator.keep_freed_memory()
        built = Session(folder, SessionFlags(flags, evaluation, session))
        if session.dry_run:
            built.try_out()
        elif built.train() == signal.SIGINT:
            # As a shell reports a process that Ctrl-C ended: what comes next on a
            # command line must not take a part of a training for the whole. SIGTERM
            # is how a cluster takes a machine back, and finds the run in order.
            sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    command.run(
        main,
        *(RunConfig, ModelConfig, DataConfig, LossConfig),
        *(TrainingConfig, EvaluationConfig, SessionConfig),
    )
