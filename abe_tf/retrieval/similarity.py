"""Cosines between embeddings, whose distributions tell how a network sees classes."""

from __future__ import annotations

import numpy as np


def similarities(
    learner_embeddings: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
    """Cosines of pairs, over all learners; memory grows with images squared.

    Args:
      learner_embeddings: `[images, learners, dim]` float32, unit length.
      labels: `[images]` integer classes.

    Returns:
      float32 in -1 to 1, by kind: "positive" and "negative" pairs of different images
      of one and of two classes, by the same learner; "self_pair": two learners' views
      of one image. Kinds without any pair are left out.
    """
    images, learners, _ = learner_embeddings.shape
    first, second = np.triu_indices(images, 1)
    same = (labels[first] == labels[second]).ravel()
    kinds: dict[str, list[np.ndarray]] = {"positive": [], "negative": []}
    for learner in range(learners):
        view = learner_embeddings[:, learner]
        cosines = (view @ view.T)[first, second]
        kinds["positive"].append(cosines[same])
        kinds["negative"].append(cosines[~same])
    found = {kind: np.concatenate(cosines) for kind, cosines in kinds.items()}
    one, other = np.triu_indices(learners, 1)
    found["self_pair"] = np.einsum(
        "ipd,ipd->ip", learner_embeddings[:, one], learner_embeddings[:, other]
    ).ravel()
    return {kind: cosines for kind, cosines in found.items() if cosines.size}
