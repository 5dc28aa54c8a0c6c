"""What a comparison found, as compared.json and as tables for people."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from abe_tf.errors import InputError
from abe_tf.figures.ablation import SweepRow, mean_and_deviation
from abe_tf.retrieval.correlation import mean_over_pairs
from abe_tf.storage import locks
from abe_tf.storage.files import write_atomically
from abe_tf.sweeps import points, trials

if TYPE_CHECKING:
    from abe_tf.sweeps.budgets import Rung


@dataclasses.dataclass(frozen=True)
class Row:
    """A loss or a normalisation of one network, or an ensemble of all.

    Attributes:
      chosen: Learning rate, setting, steps where rows differ in them; by the flag's
        name.
      measured: On the test classes, one a seed.
      images: Queries and gallery of each run.
      correlations: Correlation of the learners' errors at Recall@1, mean over pairs,
        one a run; none with one learner.
      cost: Parameters, and multiply-adds of an image; of ensembles and normalisations.
      budgets: What it reaches on held-out classes with shorter trainings and with all
        of its steps, where these were asked for.
    """

    chosen: dict[str, str]
    measured: SweepRow
    images: frozenset[tuple[int, int]]
    correlations: tuple[float, ...] = ()
    cost: tuple[int, int] | None = None
    budgets: tuple[Rung, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        chosen: dict[str, str],
        runs: Sequence[trials.Trial],
        cost: tuple[int, int] | None = None,
    ) -> Row:
        """Reads what was measured of runs that are done."""
        steps = runs[0].flags.training.steps
        results = [trial.point.results(steps) for trial in runs]
        found = [(r["num_queries"], r["num_gallery"]) for r in results if r]
        row = points.summarise(name, results)
        correlations = [mean_over_pairs(r["error_correlation"]) for r in results if r]
        known = tuple(one for one in correlations if one is not None)
        return cls(chosen, row, frozenset(found), known, cost)

    def content(self) -> dict[str, Any]:
        """The row as compared.json has it."""
        content: dict[str, Any] = {
            "chosen": self.chosen,
            "recall@1": self.measured.ensemble,
            "learners_recall@1": self.measured.individual,
            "self_pair_cosine": self.measured.self_pair_cosine,
        }
        if self.cost:
            parameters, multiply_adds = self.cost
            content |= {
                "error_correlation": list(self.correlations),
                "parameters": parameters,
                "multiply_adds": multiply_adds,
            }
        if self.budgets:
            content["budgets"] = [rung.content() for rung in self.budgets]
        return content


def write(path: str, tables: Mapping[str, Mapping[str, Row]]) -> None:
    """Writes the tables; what another call measured of other losses stays.

    Args:
      path: Path of compared.json.
      tables: By the network's name, then by the loss'.

    Raises:
      InputError: What lies there is damaged.
    """
    # Another call may be at its own rows.
    with locks.locked(os.path.join(os.path.dirname(path), locks.LOCK)):
        _add(path, tables)


def _add(path: str, tables: Mapping[str, Mapping[str, Row]]) -> None:
    content: dict[str, dict[str, Any]] = {}
    try:
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                content = json.load(file)
        for network, rows in tables.items():
            measured = {loss: row.content() for loss, row in rows.items()}
            content[network] = {**content.get(network, {}), **measured}
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            "compared.json must be what a comparison wrote. "
            f"Received: {path!r}: {error}. Remove it and run the same command again: "
            "nothing is trained anew."
        ) from error
    write_atomically(path, json.dumps(content, indent=2) + "\n")


def check_one_test_set(rows: Iterable[Row]) -> None:
    """Refuses a table of runs that were measured on different images.

    Raises:
      InputError: They were: photos came or went between two sessions.
    """
    found = sorted(frozenset().union(*(row.images for row in rows)))
    if len(found) > 1:
        raise InputError(
            "The runs of a table must be measured on the same images. Received: "
            f"{found[0][0]} and {found[1][0]} queries. Give the photos of before, or "
            "compare anew in another --workdir."
        )


def as_text(network: str, rows: Mapping[str, Row]) -> str:
    """The table of one network, the best loss first.

    Args:
      network: Its name.
      rows: By the loss' name.
    """
    lines = [f"{network:18}{'Recall@1, %':>14}{'learners':>14}  chosen"]
    best_first = sorted(rows.items(), key=lambda item: -item[1].measured.recall)
    for loss, row in best_first:
        flags = " ".join(f"--{flag}={value}" for flag, value in row.chosen.items())
        lines.append(
            f"{loss:18}{mean_and_deviation(row.measured.ensemble):>14}"
            f"{mean_and_deviation(row.measured.individual):>14}  {flags}"
        )
    return "\n".join(lines)


def networks_as_text(title: str, rows: Mapping[str, Row]) -> str:
    """The table of ensembles or normalisations, the best first.

    Args:
      title: What they have in common.
      rows: By their names.
    """
    lines = [
        f"{title:14}{'Recall@1, %':>14}{'learners':>14}{'self-pair':>11}{'errors':>8}"
        f"{'parameters':>12}{'multiply-adds':>15}  chosen"
    ]
    best_first = sorted(rows.items(), key=lambda item: -item[1].measured.recall)
    for name, row in best_first:
        flags = " ".join(f"--{flag}={value}" for flag, value in row.chosen.items())
        cosines, correlations = (
            f"{statistics.mean(values):.2f}" if values else "-"
            for values in (row.measured.self_pair_cosine, row.correlations)
        )
        parameters, multiply_adds = row.cost or (0, 0)
        lines.append(
            f"{name:14}{mean_and_deviation(row.measured.ensemble):>14}"
            f"{mean_and_deviation(row.measured.individual):>14}{cosines:>11}"
            f"{correlations:>8}{parameters:>12,}{multiply_adds:>15,}  {flags}"
        )
    return "\n".join(lines)


def budgets_as_text(rows: Mapping[str, Row]) -> str:
    """What each network reaches with each budget, and below it its learners alone.

    Args:
      rows: By their names, all with the same budgets.
    """
    some = next(iter(rows.values()))
    head = f"{'steps':24}" + "".join(f"{rung.steps:>10,}" for rung in some.budgets)
    lines = [f"{head}  Recall@1 on held-out classes, %"]
    for name, row in rows.items():
        best = [rung.best for rung in row.budgets]
        lines.append(f"{name:24}" + _across(one.ensemble for one in best))
        if any(one.self_pair_cosine for one in best):
            alone = _across(one.individual for one in best)
            lines.append(f"{'  its learners alone':24}{alone}")
        rates = "".join(f"{one.value:>10}" for one in best)
        lines.append(f"{'  --learning_rate':24}{rates}")
    return "\n".join(lines)


def _across(values: Iterable[list[float]]) -> str:
    return "".join(f"{mean_and_deviation(runs):>10}" for runs in values)
