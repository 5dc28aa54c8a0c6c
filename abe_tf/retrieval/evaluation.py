"""Everything that is measured of embeddings, as results.json holds it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from abe_tf.retrieval import (
    clustering,
    cmc,
    correlation,
    diversity,
    measures,
    ranks,
    spectrum,
)
from abe_tf.retrieval.archive import Archive
from abe_tf.retrieval.embedded import Embedded
from abe_tf.retrieval.recall import Recall, recall_of

_DRAWS = 10_000


@dataclasses.dataclass(frozen=True)
class Measurements:
    """What was measured.

    Attributes:
      recall: The paper's table.
      ranks: `[learners + 2, queries]`, as `ranks.nearest_positive_ranks` gives them.
      interval: 95 % interval of the ensemble's Recall@1 in percent, by a percentile
        bootstrap over the queries.
      ranking: Measures of the ranking, as returned by `measures.measure_ranking`.
      clustering: As returned by `clustering.measure_clustering`; `None` if not wanted.
      by_class: Recall@1 of the ensemble in percent, by the class of the query.
      error_correlation: As returned by `correlation.error_correlation`.
      effective_rank: As returned by `spectrum.effective_ranks`, of the queries.
      sub_ensembles: By the number of learners: mean and deviation of Recall@1 over
        subsets, and how many those are.
      without_learner: Recall@1 of the ensemble without each learner.
      cmc: As returned by `cmc.measure_cmc`.
    """

    recall: Recall
    ranks: np.ndarray
    interval: tuple[float, float]
    ranking: dict[str, dict[str, float]]
    clustering: dict[str, Any] | None
    by_class: dict[str, float]
    error_correlation: list[list[float | None]]
    effective_rank: dict[str, Any]
    sub_ensembles: dict[int, dict[str, float]]
    without_learner: list[float]
    cmc: dict[str, Any] | None = None

    def mean_error_correlation(self) -> float | None:
        """Mean over pairs of learners; `None` where no pair has one."""
        return correlation.mean_over_pairs(self.error_correlation)

    def as_json(self, dataset: str) -> dict[str, Any]:
        """What results.json holds."""
        besides = self.besides_recall()
        interval = {"recall@1_interval": besides.pop("interval")}
        return {**self.recall.as_json(dataset), **interval, **besides}

    def besides_recall(self) -> dict[str, Any]:
        """All but recall, which follows from the ranks, as `restored` takes it."""
        return {
            "interval": list(self.interval),
            "ranking": self.ranking,
            "clustering": self.clustering,
            "error_correlation": self.error_correlation,
            "effective_rank": self.effective_rank,
            "sub_ensembles": self.sub_ensembles,
            "without_learner": self.without_learner,
            "by_class": self.by_class,
            "cmc": self.cmc,
        }


def evaluate(
    archive: Archive, recall_at: tuple[int, ...], block: int, cluster: bool
) -> Measurements:
    """Measures embeddings.

    Args:
      archive: The embeddings.
      recall_at: The K of Recall@K.
      block: Edge of the tiles of the distance matrix.
      cluster: Whether to run k-means, where a class has two queries.

    Raises:
      InputError: Queries and gallery have different learners.
    """
    queries, matrix = archive.queries, archive.matrix
    # Where every query is a class of its own, as many clusters tell nothing.
    cluster = cluster and len(np.unique(queries.labels)) < len(queries)
    positive_ranks = ranks.nearest_positive_ranks(matrix, block)
    learners = queries.num_learners
    subsets = diversity.subsets_of(learners)
    sub_recall = diversity.sub_ensemble_recall(matrix, subsets, block)
    sizes = np.array([len(subset) for subset in subsets])
    return Measurements(
        recall=_recall(archive, positive_ranks, recall_at),
        ranks=positive_ranks,
        interval=_interval(positive_ranks[-2]),
        ranking=measures.measure_ranking(matrix, positive_ranks[-2:], block),
        clustering=clustering.measure_clustering(queries) if cluster else None,
        by_class=_by_class(positive_ranks[-2], queries, archive.class_names),
        error_correlation=correlation.error_correlation(positive_ranks[:-2]),
        effective_rank=spectrum.effective_ranks(queries.learner_embeddings),
        sub_ensembles={
            int(size): {
                "mean": float(sub_recall[sizes == size].mean()),
                "std": float(sub_recall[sizes == size].std()),
                "subsets": int((sizes == size).sum()),
            }
            for size in np.unique(sizes)
        },
        without_learner=[
            float(sub_recall[subsets.index(_others(learners, learner))])
            for learner in range(learners if learners > 1 else 0)
        ],
        cmc=_cmc(archive, block),
    )


def restored(
    archive: Archive,
    recall_at: tuple[int, ...],
    positive_ranks: np.ndarray,
    besides: dict[str, Any],
) -> Measurements:
    """What `evaluate` gave, from what was kept of it.

    Args:
      archive: The embeddings.
      recall_at: The K of Recall@K, whichever they were.
      positive_ranks: `Measurements.ranks`.
      besides: What `Measurements.besides_recall` gave; what an older version did not
        measure yet is measured.

    Raises:
      KeyError: Something is missing.
      ValueError: The ranks are of other embeddings.
    """
    queries = archive.queries
    if positive_ranks.shape != (queries.num_learners + 2, len(queries)):
        raise ValueError(f"ranks of shape {list(positive_ranks.shape)}")
    return Measurements(
        recall=_recall(archive, positive_ranks, recall_at),
        ranks=positive_ranks,
        interval=tuple(besides["interval"]),
        ranking=besides["ranking"],
        clustering=besides["clustering"],
        by_class=besides["by_class"],
        error_correlation=besides["error_correlation"],
        effective_rank=besides.get("effective_rank")
        or spectrum.effective_ranks(queries.learner_embeddings),
        # JSON knows text alone as names.
        sub_ensembles={int(k): v for k, v in besides["sub_ensembles"].items()},
        without_learner=besides["without_learner"],
        cmc=besides["cmc"] if "cmc" in besides else _cmc(archive),
    )


def _cmc(archive: Archive, block: int = 512) -> dict[str, Any] | None:
    return cmc.measure_cmc(archive.matrix, archive.queries, archive.gallery, block)


def _recall(
    archive: Archive, positive_ranks: np.ndarray, recall_at: tuple[int, ...]
) -> Recall:
    among = archive.queries if archive.gallery is None else archive.gallery
    return recall_of(positive_ranks, archive.queries, recall_at, len(among))


def _others(learners: int, learner: int) -> tuple[int, ...]:
    return tuple(other for other in range(learners) if other != learner)


def _interval(ensemble_ranks: np.ndarray) -> tuple[float, float]:
    """Resampling hits with replacement is drawing their number from a binomial."""
    count = len(ensemble_ranks)
    hit = np.count_nonzero(ensemble_ranks < 1) / count
    draws = np.random.default_rng(0).binomial(count, hit, _DRAWS)
    low, high = np.percentile(100 * draws / count, [2.5, 97.5])
    return float(low), float(high)


def _by_class(
    ensemble_ranks: np.ndarray, queries: Embedded, class_names: tuple[str, ...]
) -> dict[str, float]:
    labels = np.asarray(queries.labels)
    hits = ensemble_ranks < 1
    return {
        class_names[label]: 100 * float(hits[labels == label].mean())
        for label in np.unique(labels)
    }
