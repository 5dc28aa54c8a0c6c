"""Recall@K: the share of queries with an image of their class among the K nearest.

Ties count against the query, so a model that maps everything to one point has recall 0.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from abe_tf.losses.statistics import self_pair_cosines
from abe_tf.retrieval.embedded import Embedded, of_unit_length
from abe_tf.retrieval.matrix import DistanceMatrix
from abe_tf.retrieval.ranks import nearest_positive_ranks


@dataclasses.dataclass(frozen=True)
class Recall:
    """Recall@K in percent, by K, and what it was measured on.

    Attributes:
      num_queries: Images that were looked for.
      num_gallery: Images among which; the queries themselves where as many.
      ensemble: By the mean of the learners' distances (the paper's).
      concatenated: By the distance of the concatenated embeddings.
      by_learner: By each learner's distance alone.
      self_pair_cosine: Mean cosine between two learners' embeddings of one image;
        `None` for one learner.
    """

    num_queries: int
    num_gallery: int
    ensemble: dict[int, float]
    concatenated: dict[int, float]
    by_learner: list[dict[int, float]]
    self_pair_cosine: float | None

    def individual_mean(self) -> dict[int, float]:
        """Mean over the learners."""
        return {k: float(np.mean(self._by_learner(k))) for k in self.ensemble}

    def individual_std(self) -> dict[int, float]:
        """Standard deviation over the learners, as of the whole population."""
        return {k: float(np.std(self._by_learner(k))) for k in self.ensemble}

    def as_json(self, dataset: str) -> dict[str, Any]:
        """What results.json holds; recall in percent."""

        def named(values: dict[int, float]) -> dict[str, float]:
            return {f"recall@{k}": value for k, value in values.items()}

        return {
            "dataset": dataset,
            "num_queries": self.num_queries,
            "num_gallery": self.num_gallery,
            "ensemble": named(self.ensemble),
            "concatenated": named(self.concatenated),
            "learners": [named(learner) for learner in self.by_learner],
            "individual_mean": named(self.individual_mean()),
            "individual_std": named(self.individual_std()),
            "self_pair_cosine": self.self_pair_cosine,
        }

    def _by_learner(self, k: int) -> list[float]:
        return [learner[k] for learner in self.by_learner]


def measure_recall(
    queries: Embedded,
    recall_at: tuple[int, ...],
    block: int = 512,
    gallery: Embedded | None = None,
) -> Recall:
    """Measures recall.

    A query without an image of its class to find counts as a miss.

        >>> x = np.array([[[1, 0]], [[0.8, 0.6]], [[0.6, 0.8]], [[0, 1]]], np.float32)
        >>> recall = measure_recall(Embedded(x, np.array([0, 0, 1, 1])), (1, 2))
        >>> recall.ensemble
        {1: 50.0, 2: 100.0}

    Args:
      queries: What is looked for.
      recall_at: The K.
      block: Edge of the tiles of the distance matrix.
      gallery: Where it is looked for; among the other queries where `None`.

    Raises:
      InputError: The gallery is of another model.
    """
    ranks = nearest_positive_ranks(DistanceMatrix.of(queries, gallery), block)
    return recall_of(ranks, queries, recall_at, len(gallery or queries))


def recall_of(
    ranks: np.ndarray, queries: Embedded, recall_at: tuple[int, ...], num_gallery: int
) -> Recall:
    """Recall from ranks.

    Args:
      ranks: Ranks for all kinds, as returned by `nearest_positive_ranks`.
      queries: What was looked for.
      recall_at: The K.
      num_gallery: Images among which.
    """
    count = len(queries)
    recalls = [
        {k: 100 * int(np.count_nonzero(rank < k)) / count for k in recall_at}
        for rank in ranks
    ]
    cosines = None
    if queries.num_learners > 1:
        directions = of_unit_length(queries.learner_embeddings)
        embeddings = tf.constant(directions, tf.float32)
        cosines = self_pair_cosines(embeddings)
    return Recall(
        num_queries=count,
        num_gallery=num_gallery,
        ensemble=recalls[-2],
        concatenated=recalls[-1],
        by_learner=recalls[:-2],
        self_pair_cosine=None if cosines is None else float(np.mean(cosines)),
    )
