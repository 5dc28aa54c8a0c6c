"""Trains around a flagfile, one factor at a time; what is best on held-out classes.

python -m abe_tf.sweep --flagfile=flags/grocery_abe4.cfg --validation_classes=0.5
    --vary=lambda_div=0,0.1,1,10 --seeds=2
"""

from __future__ import annotations

import dataclasses
import json
import os

from abe_tf.config import command
from abe_tf.config.data import DataConfig
from abe_tf.config.evaluation import RunConfig
from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.sweep import SweepConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.errors import InputError
from abe_tf.runs.flags import RunFlags
from abe_tf.runs.folder import RunFolder
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
    from abe_tf.sweeps import points

    folder = run.workdir or command.default_workdir("sweep_")
    data.check_paths()
    model.check_paths()
    if not data.validation_classes:
        raise InputError(
            "A sweep chooses on held-out training classes. "
            "Received: --validation_classes=0. Set it, to 0.5 for instance."
        )
    start = RunFlags(model, data, loss, training)
    planned = []
    for setting in sweep.settings():
        # What a factor leaves as the flagfile has it is one run for all factors.
        changes = {} if start.changed(setting) == start else setting
        for seed in range(training.seed, training.seed + sweep.seeds):
            point = points.Point(folder, changes, seed)
            flags = start.changed({**setting, "seed": seed})
            RunFolder(point.workdir).check_may_train(flags)
            planned.append((setting, point, flags))
    check_writable("workdir", folder)
    from abe_tf.data import datasets

    if not len(datasets.load(data).validation):
        raise InputError(
            "A sweep chooses on held-out training classes. Received: too few to hold "
            "any out. Add classes of photos."
        )
    for number, (_, point, flags) in enumerate(planned, 1):
        print(f"[{number}/{len(planned)}] {point.name}", flush=True)
        points.run(point, flags)
    results = [
        (setting, point.results(flags.training.steps))
        for setting, point, flags in planned
    ]
    summary = {}
    # From here on matplotlib is needed.
    from abe_tf.figures import ablation

    for factor, values in sweep.factors().items():
        rows = [
            points.summarise(value, [r for s, r in results if s.get(factor) == value])
            for value in values
        ]
        summary[factor] = [dataclasses.asdict(row) for row in rows]
        print(f"\n{points.as_text(factor, rows)}")
        path = os.path.join(folder, f"{factor}.png")
        write_atomically(path, ablation.draw(factor, rows))
        print(f"plot: {path}")
    path = os.path.join(folder, "sweep.json")
    write_atomically(path, json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    command.run(
        main,
        *(RunConfig, ModelConfig, DataConfig, LossConfig),
        *(TrainingConfig, SweepConfig),
    )
