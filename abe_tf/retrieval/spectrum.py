"""How many directions embeddings use."""

from __future__ import annotations

from typing import Any

import numpy as np

# Vectors whose products are summed at once.
_AT_ONCE = 4096


def effective_rank(vectors: np.ndarray) -> float:
    """How many directions the vectors spread over, as if alike in each.

    The exponential of the entropy of the singular values, each over their sum (Roy and
    Vetterli, "The effective rank", EUSIPCO 2007), of the vectors less their mean.

        >>> round(effective_rank(np.eye(4)), 3), effective_rank(np.ones([4, 3]))
        (3.0, 0.0)

    Args:
      vectors: `[images, dim]`.

    Returns:
      1 to `dim`; 0 of vectors that are all the same.
    """
    mean = vectors.mean(0, dtype=np.float64)
    products = np.zeros([vectors.shape[1]] * 2)
    for first in range(0, len(vectors), _AT_ONCE):
        some = vectors[first : first + _AT_ONCE] - mean
        products += some.T @ some
    squares = np.clip(np.linalg.eigvalsh(products), 0, None)
    # What is left of rounding is no direction.
    kept = squares[squares > 1e-10 * max(squares[-1], 1e-10 * len(vectors))]
    if not len(kept):
        return 0.0
    shares = np.sqrt(kept) / np.sqrt(kept).sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def effective_ranks(learner_embeddings: np.ndarray) -> dict[str, Any]:
    """Of each learner, and of the learners side by side.

    Args:
      learner_embeddings: `[images, learners, dim]`.

    Returns:
      "learners", `[learners]`, and "concatenated".
    """
    count, learners = learner_embeddings.shape[:2]
    return {
        "learners": [
            effective_rank(learner_embeddings[:, number]) for number in range(learners)
        ],
        "concatenated": effective_rank(learner_embeddings.reshape(count, -1)),
    }
