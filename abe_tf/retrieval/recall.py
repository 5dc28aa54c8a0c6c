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
      num_queries: Images, each a query against all others.
      ensemble: By the mean of the learners' distances (the paper's).
      concatenated: By the distance of the concatenated embeddings.
      learners: By each learner's distance alone.
      self_pair_cosine: Mean cosine between two learners' embeddings of one image;
        `None` for one learner.
    """

    num_queries: int
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


def measure_recall(
    learner_embeddings: np.ndarray,
    labels: np.ndarray,
    recall_at: tuple[int, ...],
    block: int = 512,
) -> Recall:
    """Measures recall, every image a query against all others.

    An image alone in its class is never found by a right one, and counts as a miss.

    Args:
      learner_embeddings: `[images, learners, dim]` float32, unit length.
      labels: `[images]` integer classes.
      recall_at: The K.
      block: Queries that are compared with the gallery at once; memory grows with
        block * images.

    Raises:
      InputError: An embedding is not finite, which no distance could rank.
    """
    broken = np.flatnonzero(~np.isfinite(learner_embeddings).all(axis=(1, 2)))
    if len(broken):
        raise InputError(
            f"Embeddings must be finite. Received: {len(broken)} that are not, the "
            f"first of image {broken[0]}. The model diverged: lower its learning rate."
        )
    ranks = nearest_positive_ranks(learner_embeddings, labels, block)
    recalls = [
        {k: 100 * int(np.count_nonzero(rank < k)) / len(labels) for k in recall_at}
        for rank in ranks
    ]
    several = learner_embeddings.shape[1] > 1
    cosines = self_pair_cosines(tf.constant(learner_embeddings)) if several else None
    return Recall(
        num_queries=len(labels),
        ensemble=recalls[-2],
        concatenated=recalls[-1],
        learners=recalls[:-2],
        self_pair_cosine=None if cosines is None else float(np.mean(cosines)),
    )


def nearest_positive_ranks(
    learner_embeddings: np.ndarray, labels: np.ndarray, block: int
) -> np.ndarray:
    """How many images of other classes are at most as far as the nearest of its own.

    Args:
      learner_embeddings: `[images, learners, dim]` float32.
      labels: `[images]` integer classes.
      block: Queries that are compared with the gallery at once.

    Returns:
      `[learners + 2, images]` int64: by each learner, by ensemble distance, by
      concatenated distance. An image alone in its class has the largest int64.
    """
    gallery = tf.constant(learner_embeddings, tf.float32)
    gallery_labels = tf.constant(labels)
    blocks = []
    for start in range(0, len(labels), block):
        end = min(start + block, len(labels))
        blocks.append(
            _rank_block(gallery, gallery_labels, *map(tf.constant, (start, end)))
        )
    return np.concatenate(blocks, axis=1)


@tf.function
def _rank_block(
    gallery: tf.Tensor, labels: tf.Tensor, start: tf.Tensor, end: tf.Tensor
) -> tf.Tensor:
    own_class = labels[start:end, tf.newaxis] == labels
    itself = tf.range(start, end)[:, tf.newaxis] == tf.range(tf.shape(labels)[0])
    positive = own_class & ~itself
    distances = by_kind(gallery[start:end], gallery)
    return tf.stack([_ranks(kind, positive, own_class) for kind in distances])


def _ranks(distances: tf.Tensor, positive: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
    infinity = tf.constant(np.inf, distances.dtype)
    nearest = tf.reduce_min(tf.where(positive, distances, infinity), 1, keepdims=True)
    before = tf.math.count_nonzero(~own & (distances <= nearest), axis=1)
    return tf.where(tf.math.is_inf(nearest[:, 0]), tf.int64.max, before)
