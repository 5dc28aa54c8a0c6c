"""Trains losses, ensembles or normalisations on one footing, each tuned alike.

python -m abe_tf.compare --flagfile=flags/compared/digits.cfg --ensembles=none
python -m abe_tf.compare --flagfile=flags/compared/digits.cfg --rows=ensembles
python -m abe_tf.compare --flagfile=flags/compared/omniglot.cfg --rows=normalizations
    --manual_dir=OMNIGLOT
python -m abe_tf.compare --flagfile=flags/compared/digits.cfg --rows=ensembles
    --ensembles=learner,none,heads,abe --budgets=20,80 --steps=320

Learning rate and the one setting of each loss are chosen with one learner, the rate of
each ensemble and each normalisation with itself, on held-out training classes or
domains; test classes are looked at once, by the runs that the table is of.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from abe_tf.config import command
from abe_tf.config.compare import CompareConfig
from abe_tf.config.data import DataConfig
from abe_tf.config.evaluation import RunConfig
from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.runs.flags import RunFlags
from abe_tf.storage.files import check_writable, write_atomically

if TYPE_CHECKING:
    from abe_tf.sweeps import tables, trials
    from abe_tf.sweeps.comparing import Comparison


def main(
    run: RunConfig,
    model: ModelConfig,
    data: DataConfig,
    loss: LossConfig,
    training: TrainingConfig,
    asked: CompareConfig,
) -> None:
    """Checks every setting, runs what is missing, and writes the table."""
    from abe_tf.data import datasets
    from abe_tf.sweeps import comparing, trials

    # Rows of one table have one number of steps.
    prefix = "budgets_" if asked.budgets else "compared_"
    folder = run.workdir or command.default_workdir(prefix)
    data.check_paths()
    model.check_paths()
    start = RunFlags(model, data, loss, training)
    comparison = comparing.Comparison(folder, start, asked)
    comparison.check()
    begun = sum(comparison.plan().values(), [])
    splits = trials.check_held_out(data, begun, "A comparison")
    # What the measured runs train on, which hold nothing out.
    everything = dataclasses.replace(data, validation_classes=0, validation_domains=())
    comparison = comparison.fitted(splits, datasets.load(everything).train)
    planned = comparison.plan()
    check_writable("workdir", folder)
    found: dict[str, dict[str, tables.Row]] = {}
    for name, tried in planned.items():
        for title, row in _rows(comparison, name, tried):
            found.setdefault(title, {})[row.measured.value] = row
    _show(folder, found, asked, "domains" if data.validation_domains else "classes")


def _rows(
    comparison: Comparison, name: str, tried: Sequence[trials.Trial]
) -> Iterator[tuple[str, tables.Row]]:
    """Runs what a loss, an ensemble or a normalisation needs; its rows by table."""
    from abe_tf.reports.measured import paper_name
    from abe_tf.sweeps import budgets, tables, trials

    kind = comparison.asked.rows
    rungs: list[budgets.Rung] = []
    if comparison.asked.budgets:
        rungs = budgets.climb(comparison, name)
        chosen = {"learning_rate": rungs[-1].best.value}
    else:
        with_one = " with one learner" * (kind == "losses")
        print(f"\n{name}: tries{with_one}", flush=True)
        best = comparison.choose(name, tried)
        chosen = {flag: row.value for flag, row in best.items()}
    for runs in comparison.measured(name, chosen).values():
        flags = runs[0].flags
        network = paper_name(flags.model, flags.loss)
        print(f"\n{name}: {network} for the table", flush=True)
        trials.run(runs)
        if kind == "normalizations":
            chosen = {**chosen, "steps": str(flags.training.steps)}
        cost = None if kind == "losses" else _cost(flags)
        title, row = ("ensembles", network) if kind == "ensembles" else (network, name)
        found = tables.Row.of(row, chosen, runs, cost)
        yield title, dataclasses.replace(found, budgets=tuple(rungs))


def _show(
    folder: str, found: dict[str, dict[str, tables.Row]], asked: CompareConfig, of: str
) -> None:
    """Prints the tables and writes them, and the picture of what budgets give."""
    from abe_tf.sweeps import tables

    by_losses = asked.rows == "losses"
    as_text = tables.as_text if by_losses else tables.networks_as_text
    for title, rows in found.items():
        tables.check_one_test_set(rows.values())
        if asked.budgets:
            print(f"\n{tables.budgets_as_text(rows)}")
        print(f"\n{as_text(title, rows)}")
    if asked.seeds > 1:
        print(f"\nMean and sample deviation of {asked.seeds} seeds, on test classes.")
    print(
        f"Chosen with one {'learner and one ' * by_losses}seed, on held-out training "
        f"{of}."
    )
    path = os.path.join(folder, "compared.json")
    tables.write(path, found)
    print(f"table: {path}")
    if not asked.budgets:
        return
    # From here on matplotlib is needed.
    from abe_tf.figures import budgets

    (rows,) = found.values()
    curves = {
        name: [(rung.steps, rung.best) for rung in row.budgets]
        for name, row in rows.items()
    }
    path = os.path.join(folder, "budgets.png")
    write_atomically(path, budgets.draw(curves))
    print(f"plot: {path}")


def _cost(flags: RunFlags) -> tuple[int, int]:
    """Parameters of a network, and multiply-adds of an image."""
    from abe_tf.models.build import build
    from abe_tf.models.cost import cost

    counted = cost(build(flags.model, flags.data.image_size, load_pretrained=False))
    return counted.parameters, counted.multiply_adds


if __name__ == "__main__":
    command.run(
        main,
        *(RunConfig, ModelConfig, DataConfig, LossConfig),
        *(TrainingConfig, CompareConfig),
    )
