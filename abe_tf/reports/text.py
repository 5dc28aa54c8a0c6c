"""Recall and other measures as text for people, recall as the paper's table."""

from __future__ import annotations

from typing import Any

from abe_tf.retrieval import clustering, cmc, measures
from abe_tf.retrieval.archive import Archive
from abe_tf.retrieval.calibration import Calibration
from abe_tf.retrieval.embedded import Embedded
from abe_tf.retrieval.evaluation import Measurements
from abe_tf.retrieval.recall import Recall

# Lengths of learners that differ less count alike.
_ALIKE = 1e-3


def what_was_measured(archive: Archive, recall: Recall) -> str:
    """Queries and gallery in a few words."""
    about = archive.about
    known = ", ".join(about[name] for name in ("dataset", "split") if name in about)
    of = about.get("known_classes", f"{known} classes" if known else "")
    among = where_looked(archive, recall)
    return f"{of + ', ' if of else ''}{recall.num_queries} queries {among}"


def where_looked(archive: Archive, recall: Recall) -> str:
    """Among what the queries were looked for, in a few words."""
    if archive.gallery is None:
        return "among each other"
    return f"in a gallery of {recall.num_gallery:,}"


def calibration_as_text(fitted: Calibration | None) -> str:
    """Of what it was counted how sure distances make, in a line."""
    if fitted is None:
        return "P(same kind): none, since it takes pairs of one class and of two"
    about = fitted.about
    return (
        f"P(same kind): counted on {about['pairs_of_one_kind']:,} pairs of one and "
        f"{about['pairs_of_two_kinds']:,} of two, of {about['kinds']:,} classes and "
        "those that trained; kept with the checkpoint"
    )


def as_text(recall: Recall) -> str:
    """A table for people: one row for each way to measure distance."""
    ks = list(recall.ensemble)
    lines = [f"{'Recall@K in percent':24}" + "".join(f"{f'@{k}':>14}" for k in ks)]
    rows = {"ensemble": recall.ensemble, "concatenated": recall.concatenated}
    for number, learner in enumerate(recall.by_learner, 1):
        rows[f"learner {number}"] = learner
    for name, values in rows.items():
        lines.append(f"{name:24}" + "".join(f"{values[k]:14.1f}" for k in ks))
    mean, deviation = recall.individual_mean(), recall.individual_std()
    cells = "".join(f"{f'{mean[k]:.1f} ± {deviation[k]:.2f}':>14}" for k in ks)
    lines.append(f"{'learners, mean ± dev.':24}{cells}")
    if recall.self_pair_cosine is not None:
        lines.append(f"{'self-pair cosine':24}{recall.self_pair_cosine:14.3f}")
    return "\n".join(lines)


def weights_as_text(embedded: Embedded) -> str | None:
    """How much learners count, where they do not count alike."""
    lengths = embedded.lengths
    if lengths is None or max(lengths) - min(lengths) < _ALIKE:
        return None
    weights = " : ".join(f"{length:.3g}" for length in lengths)
    return (
        f"learners weighted {weights}: the ensemble distance is the sum of w D over "
        "the sum of w, D between vectors of unit length; the concatenated one has w D "
        "squared"
    )


def measures_as_text(evaluation: Measurements) -> str:
    """What else was measured, each with its definition."""
    low, high = evaluation.interval
    lines = [
        f"Recall@1 of the ensemble: {low:.1f} to {high:.1f} in 95 % of bootstrap draws "
        "of the queries",
        f"{'percent':14}{'ensemble':>10}{'concatenated':>14}",
    ]
    for name, definition in measures.DEFINITIONS.items():
        cells = [evaluation.ranking[kind][name] for kind in measures.KINDS]
        lines.append(f"{name:14}{cells[0]:10.1f}{cells[1]:14.1f}  {definition}")
    lines += _cmc_as_text(evaluation.cmc)
    scores = evaluation.clustering
    if scores:
        clustered = f"{scores['images']} images into {scores['classes']} clusters"
        if scores["images"] < evaluation.recall.num_queries:
            clustered += ", a sample of whole classes"
        for name, definition in clustering.DEFINITIONS.items():
            cell = f"{'-':>10}{scores[name]:14.1f}"
            lines.append(f"{name:14}{cell}  {definition}; k-means of {clustered}")
    worst = sorted(evaluation.by_class.items(), key=lambda item: item[1])[:5]
    lines.append(
        "lowest classes: " + ", ".join(f"{name} {value:.1f}" for name, value in worst)
    )
    spread = evaluation.effective_rank
    alone = " ".join(f"{rank:.1f}" for rank in spread["learners"])
    lines.append(
        f"effective rank, directions that embeddings spread over: learners {alone}, "
        f"side by side {spread['concatenated']:.1f}"
    )
    if evaluation.without_learner:
        lines += _diversity_as_text(evaluation)
    return "\n".join(lines)


def _cmc_as_text(scores: dict[str, Any] | None) -> list[str]:
    """Mean average precision; with cameras CMC too, which else is Recall@K."""
    if scores is None:
        return []
    if not scores["queries"]:
        return ["CMC and mAP: none, since no query has a photo by another camera"]
    names = ["map"]
    if scores["cameras"]:
        names = [*(f"cmc@{k}" for k in cmc.RANKS), "map"]
    lines = []
    for name in names:
        ensemble, concatenated = (scores[kind][name] for kind in measures.KINDS)
        definition = cmc.DEFINITIONS["map" if name == "map" else "cmc@k"]
        lines.append(f"{name:14}{ensemble:10.1f}{concatenated:14.1f}  {definition}")
    if scores["cameras"]:
        lines.append(
            "CMC and mAP leave out photos of a query's class by its own camera, which "
            f"Recall@K and the measures before do not; {scores['without']:,} queries "
            "have no others of their class, and are not counted in them"
        )
    return lines


def _diversity_as_text(evaluation: Measurements) -> list[str]:
    sizes = " ".join(
        f"{size}: {recall['mean']:.1f}"
        for size, recall in evaluation.sub_ensembles.items()
    )
    without = " ".join(f"{value:.1f}" for value in evaluation.without_learner)
    mean = evaluation.mean_error_correlation()
    correlation = "-" if mean is None else f"{mean:.2f}"
    return [
        f"Recall@1 by number of learners, mean over subsets: {sizes}",
        f"Recall@1 without each learner in turn: {without}",
        "correlation of the learners' errors at Recall@1, mean over pairs: "
        f"{correlation}",
    ]
