"""The tables of a report."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from abe_tf import paper
from abe_tf.figures.ablation import mean_and_deviation
from abe_tf.reports import text
from abe_tf.reports.measured import RunReport
from abe_tf.retrieval import clustering, cmc, measures


@dataclasses.dataclass(frozen=True)
class TableRow:
    """A row; `paper` where it quotes the paper."""

    cells: list[str]
    paper: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """A table with its heading."""

    title: str
    head: list[str]
    rows: list[TableRow]
    note: str = ""


def of(reports: Sequence[RunReport]) -> Iterator[Table]:
    """The tables of some runs, in the order of the page.

    Args:
      reports: The runs, in the order of the rows.
    """
    yield _recall(reports)
    seeds = _seeds(reports)
    if seeds.rows:
        yield seeds
    checkpoints = _checkpoints(reports)
    if checkpoints.rows:
        yield checkpoints
    yield _measures(reports)
    if any(report.archive.queries.num_learners > 1 for report in reports):
        yield _diversity(reports)
    yield _each_alone(reports)
    yield _classes(reports)


def _recall(reports: Sequence[RunReport]) -> Table:
    """The paper's form: ensemble, learners; its own figures below each run."""
    ks = sorted({k for report in reports for k in report.measured.recall.ensemble})
    rows = []
    for report in reports:
        recall = report.measured.recall
        low, high = report.measured.interval
        mean, deviation = recall.individual_mean(), recall.individual_std()

        def cells(values: dict[int, float]) -> list[str]:
            return [f"{values[k]:.1f}" if k in values else "" for k in ks]

        interval = [f"{low:.1f} to {high:.1f}"]
        ensemble = cells(recall.ensemble)
        rows.append(TableRow([report.name, "ensemble", *ensemble, *interval]))
        if len(recall.by_learner) > 1:
            rows.append(TableRow(["", "concatenated", *cells(recall.concatenated), ""]))
            spread = [
                f"{mean[k]:.1f} ± {deviation[k]:.2f}" if k in mean else "" for k in ks
            ]
            rows.append(TableRow(["", "learners", *spread, ""]))
        rows += _quoted(report, ks)
    head = ["", "", *(f"@{k}" for k in ks), "95 % of @1"]
    note = (
        "Recall@K in percent: the share of queries with an image of their class among "
        "the K nearest, the query left out; ties count against the query. The interval "
        "is a percentile bootstrap over the queries of this run."
    )
    for report in reports:
        weights = text.weights_as_text(report.archive.queries)
        if weights:
            note += f" {report.name}: {weights}."
    return Table("Recall@K", head, rows, note)


def _quoted(report: RunReport, ks: list[int]) -> list[TableRow]:
    dataset = report.archive.about["dataset"]
    printed = paper.recall(dataset, report.paper_name)
    if printed is None:
        return []
    where, values = printed
    theirs = dict(zip(_PAPER_KS[where], values, strict=True))
    cells = [f"{theirs[k]:.1f}" if k in theirs else "" for k in ks]
    name = f"{report.paper_name}, published, {where}"
    rows = [TableRow([name, "ensemble", *cells, ""], paper=True)]
    learners = paper.CARS196.get(report.paper_name, ((), ()))[1]
    if where == "cars196" and learners:
        spread = dict(zip(_PAPER_KS[where], learners, strict=True))
        cells = [spread.get(k, "") for k in ks]
        rows.append(TableRow(["", "learners", *cells, ""], paper=True))
    return rows


_PAPER_KS = {
    "cars196": (1, 2, 4, 8),
    "cub200_2011": (1, 2, 4, 8),
    "stanford_online_products": (1, 10, 100, 1000),
    "in_shop": (1, 10, 20, 30, 40, 50),
}


def _seeds(reports: Sequence[RunReport]) -> Table:
    groups: list[list[RunReport]] = []
    for report in reports:
        alike = [group for group in groups if group[0].settings == report.settings]
        if alike:
            alike[0].append(report)
        else:
            groups.append([report])
    rows = []
    for group in groups:
        if len(group) < 2:
            continue
        ones = [report.measured.recall.ensemble[1] for report in group]
        learners = [report.measured.recall.individual_mean()[1] for report in group]
        names = ", ".join(report.name for report in group)
        cells = [
            names,
            str(len(group)),
            mean_and_deviation(ones),
            mean_and_deviation(learners),
        ]
        rows.append(TableRow(cells))
    head = ["", "runs", "ensemble @1", "learners @1"]
    note = "Runs that differ in nothing but their seed: mean ± sample deviation."
    return Table("Over seeds", head, rows, note)


def _checkpoints(reports: Sequence[RunReport]) -> Table:
    rows = []
    for report in reports:
        for name, recall in report.by_checkpoint.items():
            ensemble = f"{recall['ensemble']['recall@1']:.1f}"
            learners = f"{recall['individual_mean']['recall@1']:.1f}"
            row = [report.name, name, recall["checkpoint"], ensemble, learners]
            rows.append(TableRow(row))
    head = ["", "", "checkpoint", "ensemble @1", "learners @1"]
    note = "As abe_tf.evaluate measured them; best is by the validation classes."
    return Table("Best and last checkpoint", head, rows, note)


def _measures(reports: Sequence[RunReport]) -> Table:
    rows = []
    for name, definition in measures.DEFINITIONS.items():
        values = [r.measured.ranking["ensemble"][name] for r in reports]
        rows.append(TableRow([name, *(f"{v:.1f}" for v in values), definition + "."]))
    rows += _full_rankings(reports)
    for name, definition in clustering.DEFINITIONS.items():
        cells, sampled = [], ""
        for report in reports:
            scores = report.measured.clustering
            cells.append(f"{scores[name]:.1f}" if scores else "-")
            if scores and scores["images"] < len(report.archive.queries):
                sampled = f" Of a sample of {scores['images']:,} images."
        meaning = f"{definition}; k-means of the concatenated embeddings.{sampled}"
        rows.append(TableRow([name, *cells, meaning]))
    head = ["percent, by ensemble distance", *(r.name for r in reports), "definition"]
    return Table("Other measures", head, rows)


def _full_rankings(reports: Sequence[RunReport]) -> list[TableRow]:
    """Mean average precision, and CMC where cameras are known."""
    measured = [report.measured.cmc for report in reports]
    scores = [one if one and one["queries"] else None for one in measured]
    with_cameras = any(one and one["cameras"] for one in scores)
    names = [*(f"cmc@{k}" for k in cmc.RANKS), "map"] if with_cameras else ["map"]
    rows = []
    for name in names if any(scores) else ():
        cells = [f"{one['ensemble'][name]:.1f}" if one else "-" for one in scores]
        meaning = cmc.DEFINITIONS["map" if name == "map" else "cmc@k"] + "."
        if with_cameras:
            meaning += (
                " Where cameras are known without photos of a query's class by its own."
            )
        rows.append(TableRow([name, *cells, meaning]))
    return rows


def _diversity(reports: Sequence[RunReport]) -> Table:
    rows = []
    for report in reports:
        measured = report.measured
        if report.archive.queries.num_learners == 1:
            continue
        mean = measured.mean_error_correlation()
        correlation = "-" if mean is None else f"{mean:.2f}"
        without = " / ".join(f"{value:.1f}" for value in measured.without_learner)
        cosine = f"{measured.recall.self_pair_cosine:.3f}"
        rows.append(TableRow([report.name, cosine, correlation, without]))
    note = (
        "Cosine of two learners' views of an image, mean; correlation of the learners' "
        "misses at Recall@1, mean over pairs; Recall@1 of the ensemble without each "
        "learner in turn."
    )
    head = ["", "self-pair cosine", "error correlation", "without a learner"]
    return Table("Diversity of the learners", head, rows, note)


def _each_alone(reports: Sequence[RunReport]) -> Table:
    """Whether learners are good alone: the paper's second claim, on one's own run."""
    rows = []
    for report in reports:
        recall, ranks = report.measured.recall, report.measured.effective_rank
        learners = " / ".join(f"{one[1]:.1f}" for one in recall.by_learner)
        # Shorter learners are filled up with zeros.
        filled = report.archive.queries.learner_embeddings.any(axis=0)
        dims = filled.sum(axis=-1).tolist()
        spread = " / ".join(
            f"{rank:.1f} of {dim}"
            for rank, dim in zip(ranks["learners"], dims, strict=True)
        )
        masks = " / ".join(f"{share:.2f}" for share in report.open_masks) or "-"
        rows.append(
            TableRow(
                [
                    report.name,
                    f"{recall.ensemble[1]:.1f}",
                    learners,
                    spread,
                    f"{ranks['concatenated']:.1f} of {sum(dims)}",
                    masks,
                ]
            )
        )
    note = (
        "Recall@1 of the ensemble and of each learner: in the paper each learner of "
        "ABE alone is above one head, a run of --ensemble=none. Effective rank, how "
        "many directions embeddings, less their mean, spread over, of as many as there "
        "are: the exponential of the entropy of their singular values (Roy and "
        "Vetterli, 2007). Masks open: the share of each learner's mask above a half."
    )
    head = ["", "ensemble", "learners", "effective rank", "side by side", "masks open"]
    return Table("Each learner alone", head, rows, note)


def _classes(reports: Sequence[RunReport], most: int = 10) -> Table:
    rows = []
    for report in reports:
        worst = sorted(report.measured.by_class.items(), key=lambda item: item[1])
        for number, (name, value) in enumerate(worst[:most]):
            first = "" if number else report.name
            rows.append(TableRow([first, name, f"{value:.1f}"]))
    head = ["", "class", "Recall@1"]
    return Table("Lowest classes", head, rows, "Recall@1 of the queries of a class.")
