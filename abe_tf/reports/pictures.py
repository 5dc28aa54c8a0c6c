"""Every picture of a report, with the sentence that stands below it."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from abe_tf import paper
from abe_tf.errors import InputError
from abe_tf.figures import (
    ablation,
    confusion,
    cost,
    curves,
    learners,
    matches,
    mixtures,
    probes,
    similarity,
)
from abe_tf.reports.measured import RunReport
from abe_tf.retrieval.explanation import without
from abe_tf.runs import flags


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
      name: Name of its file, without the ending.
      section: The heading that it stands under.
      caption: What it shows.
      png: The file.
      run: Which run it is of, if of one.
    """

    name: str
    section: str
    caption: str
    png: bytes
    run: str = ""


def of_all(reports: Sequence[RunReport]) -> Iterator[Picture]:
    """Pictures that show all runs together."""
    yield Picture(
        "cost",
        "Recall and cost",
        "Recall@1 against parameters and multiply-adds. The lines are the paper's, on "
        "Cars-196 with GoogLeNet at 224 pixels, as are the ensembles that it compares "
        "with (triangles; abe_tf.summary counts what they cost); our points are on "
        f"{_datasets(reports)}, with their own encoders.",
        cost.draw([_point(report) for report in reports], _families()),
    )
    yield Picture(
        "similarity",
        "Diversity",
        "Cosine similarity of the same image seen by two learners (self pairs), of "
        "images of one class (positive) and of two (negative), over all learners; each "
        "histogram is drawn to the same height.",
        similarity.draw({report.name: report.histograms for report in reports}),
    )
    several = {
        report.name: report.measured.sub_ensembles
        for report in reports
        if len(report.measured.sub_ensembles) > 1
    }
    if several:
        yield Picture(
            "learners",
            "Diversity",
            "Recall@1 of ensembles of some of the learners: mean and deviation over "
            "subsets.",
            learners.draw(several),
        )


def of_run(report: RunReport) -> Iterator[Picture]:
    """Pictures of one run."""
    yield from _of_network(report)
    yield from _of_searches(report)
    yield from _confusion(report)


def _of_network(report: RunReport) -> Iterator[Picture]:
    """How it was trained, and what it looks at."""
    name = report.name
    if report.metrics:
        yield Picture(f"curves_{name}", "Training", "", png=curves.draw(report.metrics))
    if report.mixtures:
        yield Picture(
            f"mixtures_{name}",
            "How normalisations mix",
            "Each channel's rho, from the first layer to the last: 1 normalises by the "
            "statistics of training, 0 by those of the image alone.",
            mixtures.draw(report.mixtures),
            name,
        )
    if report.masks:
        yield Picture(
            f"mask_channels_{name}",
            "Masks, channel by channel",
            "The image under one channel of each learner's mask, one row per channel: "
            "those that vary most over the image, each stretched from its least value "
            "to its greatest.",
            report.masks["channel"],
            name,
        )
        yield Picture(
            f"mask_means_{name}",
            "Masks, averaged over their channels",
            "Bright is open. The numbers are the range of the means in the row.",
            report.masks["mean"],
            name,
        )


def _of_searches(report: RunReport) -> Iterator[Picture]:
    """What queries find."""
    name = report.name
    evenly = probes.positions(report.queries.examples)
    yield Picture(
        f"neighbours_{name}",
        "Queries and their nearest images",
        "By ensemble distance, evenly spaced queries; right ones framed in solid blue "
        "(✓), wrong ones in dashed vermillion (✗).",
        _neighbours(report, evenly),
        name,
    )
    whole = sorted({number for match in report.matches for number in match.not_split})
    yield Picture(
        f"matches_{name}",
        "Why they match",
        (
            "The same queries and the nearest image of each. Pooling and the linear "
            "layer are linear, so the cosine is a sum over places, and what the "
            "layer's bias has: orange adds, blue takes away; mean over the learners. "
            f"{without(whole)}"
        ).rstrip(),
        matches.draw(report.matches),
        name,
    )
    ranks = report.measured.ranks[-2]
    worst = np.argsort(-ranks, kind="stable")[: probes.QUERIES]
    yield Picture(
        f"worst_{name}",
        "Worst queries",
        "The queries with most images of other classes before the first of their own: "
        f"{', '.join(_rank(ranks[query]) for query in worst)}.",
        _neighbours(report, worst),
        name,
    )


def of_sweep(
    folder: str, factors: dict[str, list[ablation.SweepRow]]
) -> Iterator[Picture]:
    """The ablations of a sweep, as `factors_of` its folder has them."""
    for factor, rows in factors.items():
        yield Picture(
            f"ablation_{factor}",
            "Ablations",
            f"Recall@1 for each --{factor}, mean and deviation over runs, on held-out "
            f"training classes ({os.path.basename(os.path.abspath(folder))}).",
            ablation.draw(factor, rows),
        )


# What reading a file that is none raises.
_NO_SWEEPS = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
)


def factors_of(folder: str) -> dict[str, list[ablation.SweepRow]]:
    """What a sweep found, by the flag that it varied; nothing where it is no sweep's.

    Raises:
      InputError: The folder's sweep.json is none.
    """
    path = os.path.join(folder, "sweep.json")
    if not os.path.isfile(path):
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        factors = {
            factor: [ablation.SweepRow.of(row) for row in rows]
            for factor, rows in content.items()
        }
    except _NO_SWEEPS as error:
        raise InputError(
            "sweep.json must be what abe_tf.sweep wrote. "
            f"Received: {path!r}: {error}. Run the sweep again."
        ) from error
    for factor in factors:
        # It becomes the name of a file.
        if factor not in flags.names():
            raise InputError(
                "sweep.json must name flags of a run. "
                f"Received: {path!r} with {factor!r}. Run the sweep again."
            )
    return factors


def _confusion(report: RunReport) -> Iterator[Picture]:
    labels = np.asarray(report.archive.queries.labels)
    nearest_labels = report.gallery_labels()[report.nearest[:, 0]]
    chosen, counts = confusion.most_confused(labels, nearest_labels)
    if not len(chosen):
        return
    names = [report.archive.class_names[label] for label in chosen]
    yield Picture(
        f"confusion_{report.name}",
        "Most confused classes",
        "How many queries of a class have their nearest image in which; the colours "
        "leave out the diagonal.",
        confusion.draw(names, counts),
        report.name,
    )


def _neighbours(report: RunReport, queries: np.ndarray) -> bytes:
    return probes.draw_neighbours(
        report.queries, queries, report.gallery, report.nearest[queries]
    )


def _rank(rank: np.int64) -> str:
    return "none to find" if rank == np.iinfo(np.int64).max else str(rank)


def _datasets(reports: Sequence[RunReport]) -> str:
    return ", ".join(sorted({report.archive.about["dataset"] for report in reports}))


def _point(report: RunReport) -> cost.CostPoint:
    return cost.CostPoint(
        report.name,
        report.cost.parameters / 1e6,
        report.cost.multiply_adds / 1e9,
        report.measured.recall.ensemble[1],
    )


def _families() -> dict[str, list[cost.CostPoint]]:
    whole = [row for row in paper.COSTS if row.name.endswith("^512")]
    recall = {name: values[0] for name, values in paper.CARS196.items()}
    heads = [row for row in whole if "ABE" not in row.name]
    attention = [row for row in whole if "ABE" in row.name]
    compared = paper.COMPARED["cars196"]
    return {
        "paper: M-heads": [_published(row, recall) for row in heads],
        "paper: ABE-M": [_published(row, recall) for row in attention],
        "published: HDC, BIER, A-BIER": [
            _published(row, compared) for row in paper.COMPARED_COSTS
        ],
    }


def _published(
    row: paper.Cost, recall: Mapping[str, tuple[float, ...]]
) -> cost.CostPoint:
    return cost.CostPoint(
        row.name.partition("^")[0],
        10 * float(row.parameters),
        float(row.multiply_adds),
        recall[row.name][0],
    )
