"""Recall as the paper's table, and as results.json."""

from __future__ import annotations

from typing import Any

from abe_tf.retrieval.recall import Recall


def as_json(recall: Recall, dataset: str) -> dict[str, Any]:
    """What results.json holds; recall in percent."""

    def named(values: dict[int, float]) -> dict[str, float]:
        return {f"recall@{k}": value for k, value in values.items()}

    return {
        "dataset": dataset,
        "num_queries": recall.num_queries,
        "num_gallery": recall.num_gallery,
        "ensemble": named(recall.ensemble),
        "concatenated": named(recall.concatenated),
        "learners": [named(learner) for learner in recall.learners],
        "individual_mean": named(recall.individual_mean()),
        "individual_std": named(recall.individual_std()),
        "self_pair_cosine": recall.self_pair_cosine,
    }


def as_text(recall: Recall) -> str:
    """A table for people: one row for each way to measure distance."""
    ks = list(recall.ensemble)
    lines = [f"{'Recall@K in percent':24}" + "".join(f"{f'@{k}':>14}" for k in ks)]
    rows = {"ensemble": recall.ensemble, "concatenated": recall.concatenated}
    for number, learner in enumerate(recall.learners, 1):
        rows[f"learner {number}"] = learner
    for name, values in rows.items():
        lines.append(f"{name:24}" + "".join(f"{values[k]:14.1f}" for k in ks))
    mean, deviation = recall.individual_mean(), recall.individual_std()
    cells = "".join(f"{f'{mean[k]:.1f} ± {deviation[k]:.2f}':>14}" for k in ks)
    lines.append(f"{'learners, mean ± dev.':24}{cells}")
    if recall.self_pair_cosine is not None:
        lines.append(f"{'self-pair cosine':24}{recall.self_pair_cosine:14.3f}")
    return "\n".join(lines)
