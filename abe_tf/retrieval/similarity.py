"""Cosines between embeddings, whose distributions tell how a network sees classes."""

from __future__ import annotations

import itertools

import numpy as np

from abe_tf.retrieval.embedded import of_unit_length


def similarities(
    learner_embeddings: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
    """Cosines of pairs, over all learners; memory grows with images squared.

    Args:
      learner_embeddings: `[images, learners, dim]` float32.
      labels: `[images]` integer classes.

    Returns:
      float32 in -1 to 1, by kind: "positive" and "negative" pairs of different images
      of one and of two classes, by the same learner; "self_pair": two learners' views
      of one image. Kinds without any pair are left out.
    """
    learner_embeddings = of_unit_length(learner_embeddings)
    images, learners, _ = learner_embeddings.shape
    first, second = np.triu_indices(images, 1)
    same = (labels[first] == labels[second]).ravel()
    kinds: dict[str, list[np.ndarray]] = {"positive": [], "negative": []}
    for learner in range(learners):
        view = learner_embeddings[:, learner]
        cosines = (view @ view.T)[first, second]
        kinds["positive"].append(cosines[same])
        kinds["negative"].append(cosines[~same])
    by_kind = {kind: np.concatenate(cosines) for kind, cosines in kinds.items()}
    one, other = np.triu_indices(learners, 1)
    by_kind["self_pair"] = np.einsum(
        "ipd,ipd->ip", learner_embeddings[:, one], learner_embeddings[:, other]
    ).ravel()
    return {kind: cosines for kind, cosines in by_kind.items() if cosines.size}


# Between which cosines are counted; -1 and 1 are the ends.
HISTOGRAM_BINS = 200
# Queries that are compared with all images, evenly spaced.
_MOST_QUERIES = 2_000
# Of them at once.
_PORTION = 256


def similarity_histograms(
    learner_embeddings: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
    """How often each cosine occurs, over all learners.

    Args:
      learner_embeddings: `[images, learners, dim]` float32.
      labels: `[images]` integer classes.

    Returns:
      `[HISTOGRAM_BINS]` int64 by kind, over equal bins from -1 to 1: "positive" and
      "negative" pairs of up to 2,000 images, evenly spaced, with all others;
      "self_pair" of all images. Kinds without any pair are left out.
    """
    learner_embeddings = of_unit_length(learner_embeddings)
    images, learners, _ = learner_embeddings.shape
    queries = np.arange(0, images, -(-images // _MOST_QUERIES))
    kinds = ("positive", "negative", "self_pair")
    counts = {kind: np.zeros(HISTOGRAM_BINS, np.int64) for kind in kinds}
    for start in range(0, len(queries), _PORTION):
        some = queries[start : start + _PORTION]
        own = labels[some, np.newaxis] == labels
        positive = own & (some[:, np.newaxis] != np.arange(images))
        for learner in range(learners):
            view = learner_embeddings[:, learner]
            cosines = view[some] @ view.T
            counts["positive"] += _histogram(cosines[positive])
            counts["negative"] += _histogram(cosines[~own])
    for p, q in itertools.combinations(range(learners), 2):
        one, other = learner_embeddings[:, p], learner_embeddings[:, q]
        counts["self_pair"] += _histogram(np.einsum("id,id->i", one, other))
    return {kind: count for kind, count in counts.items() if np.any(count)}


def _histogram(cosines: np.ndarray) -> np.ndarray:
    bins = ((cosines + 1) * (HISTOGRAM_BINS / 2)).astype(np.int32)
    bins = np.clip(bins, 0, HISTOGRAM_BINS - 1)
    return np.bincount(bins.ravel(), minlength=HISTOGRAM_BINS)
