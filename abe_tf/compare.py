"""Trains every metric loss on one footing, each tuned alike; one table.

python -m abe_tf.compare --flagfile=flags/compared/digits.cfg --ensembles=none

Learning rate and the one setting of each loss are chosen with one learner, on held-out
training classes; test classes are looked at once, by the runs that the table is of.
"""

from __future__ import annotations

import os

from abe_tf.config import command
from abe_tf.config.compare import CompareConfig
from abe_tf.config.data import DataConfig
from abe_tf.config.evaluation import RunConfig
from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.runs.flags import RunFlags
from abe_tf.storage.files import check_writable


def main(
    run: RunConfig,
    model: ModelConfig,
    data: DataConfig,
    loss: LossConfig,
    training: TrainingConfig,
    asked: CompareConfig,
) -> None:
    """Checks every setting, runs what is missing, and writes the table."""
    from abe_tf.reports.measured import paper_name
    from abe_tf.sweeps import comparing, trials

    folder = run.workdir or command.default_workdir("compared_")
    data.check_paths()
    model.check_paths()
    start = RunFlags(model, data, loss, training)
    comparison = comparing.Comparison(folder, start, asked)
    comparison.check()
    begun = sum(comparison.plan().values(), [])
    splits = trials.check_held_out(data, begun, "A comparison")
    comparison = comparison.fitted(splits)
    planned = comparison.plan()
    check_writable("workdir", folder)
    tables: dict[str, dict[str, comparing.Row]] = {}
    for name, tried in planned.items():
        print(f"\n{name}: tries with one learner", flush=True)
        chosen = comparison.choose(name, tried)
        for runs in comparison.measured(name, chosen).values():
            network = paper_name(runs[0].flags.model, runs[0].flags.loss)
            print(f"\n{name}: {network} for the table", flush=True)
            trials.run(runs)
            tables.setdefault(network, {})[name] = comparing.Row.of(chosen, runs)
    for network, rows in tables.items():
        comparing.check_one_test_set(rows.values())
        print(f"\n{comparing.as_text(network, rows)}")
    if asked.seeds > 1:
        print(f"\nMean and sample deviation of {asked.seeds} seeds, on test classes.")
    print("Chosen with one learner and one seed, on held-out training classes.")
    path = os.path.join(folder, "compared.json")
    comparing.write(path, tables)
    print(f"table: {path}")


if __name__ == "__main__":
    command.run(
        main,
        *(RunConfig, ModelConfig, DataConfig, LossConfig),
        *(TrainingConfig, CompareConfig),
    )
