"""Trains around a flagfile, one factor at a time; what is best on held-out classes.

python -m abe_tf.sweep --flagfile=flags/grocery_abe4.cfg --validation_classes=0.5
    --vary=lambda_div=0,0.1,1,10 --seeds=2
"""

from __future__ import annotations

import os

from abe_tf.config import command
from abe_tf.config.data import DataConfig
from abe_tf.config.evaluation import RunConfig
from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.sweep import SweepConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.runs.flags import RunFlags
from abe_tf.storage.files import check_writable, write_atomically


def main(
    run: RunConfig,
    model: ModelConfig,
    data: DataConfig,
    loss: LossConfig,
    training: TrainingConfig,
    sweep: SweepConfig,
) -> None:
    """Checks every setting, runs what is missing, and writes tables and plots."""
    from abe_tf.sweeps import points, trials

    folder = run.workdir or command.default_workdir("sweep_")
    data.check_paths()
    model.check_paths()
    start = RunFlags(model, data, loss, training)
    planned = trials.plan(folder, start, sweep)
    trials.check_held_out(data, planned, "A sweep")
    check_writable("workdir", folder)
    trials.run(planned)
    rows = trials.by_factor(planned, sweep)
    trials.write(folder, rows)
    # From here on matplotlib is needed.
    from abe_tf.figures import ablation

    for factor, of_factor in rows.items():
        print(f"\n{points.as_text(factor, of_factor)}")
        path = os.path.join(folder, f"{factor}.png")
        write_atomically(path, ablation.draw(factor, of_factor))
        print(f"plot: {path}")


if __name__ == "__main__":
    command.run(
        main,
        *(RunConfig, ModelConfig, DataConfig, LossConfig),
        *(TrainingConfig, SweepConfig),
    )
