"""Recall@K: the share of queries with an image of their class among the K nearest.

No ranking is made. The nearest positive's rank is the number of negatives that are at
most as far, so ties count against the query, and a model that maps everything to one
point has recall 0.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from abe_tf.errors import InputError
from abe_tf.losses.statistics import self_pair_cosines
from abe_tf.retrieval.distances import by_kind


@dataclasses.dataclass(frozen=True)
class Recall:
    """Recall@K in percent, by K, and what it was measured on.

    Attributes:
      num_queries: Images that were looked for.
      num_gallery: Images among which; the queries themselves where as many.
      ensemble: By the mean of the learners' distances (the paper's).
      concatenated: By the distance of the concatenated embeddings.
      learners: By each learner's distance alone.
      self_pair_cosine: Mean cosine between two learners' embeddings of one image;
        `None` for one learner.
    """

    num_queries: int
    num_gallery: int
    ensemble: dict[int, float]
    concatenated: dict[int, float]
    learners: list[dict[int, float]]
    self_pair_cosine: float | None

    def individual_mean(self) -> dict[int, float]:
        """Mean over the learners."""
        return {k: float(np.mean(self._by_learner(k))) for k in self.ensemble}

    def individual_std(self) -> dict[int, float]:
        """Standard deviation over the learners, as of the whole population."""
        return {k: float(np.std(self._by_learner(k))) for k in self.ensemble}

    def _by_learner(self, k: int) -> list[float]:
        return [learner[k] for learner in self.learners]


@dataclasses.dataclass(frozen=True)
class Embedded:
    """Images as the network sees them.

    Attributes:
      learner_embeddings: `[images, learners, dim]` float32, unit length.
      labels: `[images]` integer classes.
    """

    learner_embeddings: np.ndarray
    labels: np.ndarray


def measure_recall(
    queries: Embedded,
    recall_at: tuple[int, ...],
    block: int = 512,
    gallery: Embedded | None = None,
) -> Recall:
    """Measures recall.

    A query without an image of its class to find counts as a miss.

    Args:
      queries: What is looked for.
      recall_at: The K.
      block: Queries that are compared with the gallery at once; memory grows with
        block * images.
      gallery: Where it is looked for; among the other queries where `None`.

    Raises:
      InputError: An embedding is not finite, which no distance could rank.
    """
    for embedded in (queries, gallery or queries):
        _check_finite(embedded.learner_embeddings)
    ranks = nearest_positive_ranks(queries, block, gallery)
    count = len(queries.labels)
    recalls = [
        {k: 100 * int(np.count_nonzero(rank < k)) / count for k in recall_at}
        for rank in ranks
    ]
    several = queries.learner_embeddings.shape[1] > 1
    cosines = None
    if several:
        cosines = self_pair_cosines(tf.constant(queries.learner_embeddings))
    return Recall(
        num_queries=count,
        num_gallery=len((gallery or queries).labels),
        ensemble=recalls[-2],
        concatenated=recalls[-1],
        learners=recalls[:-2],
        self_pair_cosine=None if cosines is None else float(np.mean(cosines)),
    )


def _check_finite(learner_embeddings: np.ndarray) -> None:
    broken = np.flatnonzero(~np.isfinite(learner_embeddings).all(axis=(1, 2)))
    if len(broken):
        raise InputError(
            f"Embeddings must be finite. Received: {len(broken)} that are not, the "
            f"first of image {broken[0]}. The model diverged: lower its learning rate."
        )


def nearest_positive_ranks(
    queries: Embedded, block: int, gallery: Embedded | None = None
) -> np.ndarray:
    """How many images of other classes are at most as far as the nearest of its own.

    Args:
      queries: What is looked for.
      block: Queries that are compared with the gallery at once.
      gallery: Where it is looked for; among the other queries where `None`.

    Returns:
      `[learners + 2, queries]` int64: by each learner, by ensemble distance, by
      concatenated distance. A query without an image of its class has the largest
      int64.
    """
    searched = gallery or queries
    tensors = [
        tf.constant(queries.learner_embeddings, tf.float32),
        tf.constant(queries.labels),
        tf.constant(searched.learner_embeddings, tf.float32),
        tf.constant(searched.labels),
    ]
    # Behind the gallery's end: no query is an image of the gallery.
    shift = tf.constant(0 if gallery is None else len(searched.labels))
    blocks = []
    for start in range(0, len(queries.labels), block):
        end = min(start + block, len(queries.labels))
        bounds = (tf.constant(start), tf.constant(end))
        blocks.append(_rank_block(*tensors, *bounds, shift))
    return np.concatenate(blocks, axis=1)


@tf.function
def _rank_block(
    queries: tf.Tensor,
    labels: tf.Tensor,
    gallery: tf.Tensor,
    gallery_labels: tf.Tensor,
    start: tf.Tensor,
    end: tf.Tensor,
    shift: tf.Tensor,
) -> tf.Tensor:
    """Ranks of the queries from start to end; query i is image i + shift itself."""
    own_class = labels[start:end, tf.newaxis] == gallery_labels
    places = tf.range(tf.shape(gallery_labels)[0])
    itself = tf.range(start, end)[:, tf.newaxis] + shift == places
    positive = own_class & ~itself
    distances = by_kind(queries[start:end], gallery)
    return tf.stack([_ranks(kind, positive, own_class) for kind in distances])


def _ranks(distances: tf.Tensor, positive: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
    infinity = tf.constant(np.inf, distances.dtype)
    nearest = tf.reduce_min(tf.where(positive, distances, infinity), 1, keepdims=True)
    before = tf.math.count_nonzero(~own & (distances <= nearest), axis=1)
    return tf.where(tf.math.is_inf(nearest[:, 0]), tf.int64.max, before)
