"""How far learners miss the same queries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def error_correlation(learner_ranks: np.ndarray) -> list[list[float | None]]:
    """Correlation of the learners' errors at Recall@1.

    Args:
      learner_ranks: `[learners, queries]`, negatives before the nearest positive.

    Returns:
      `[learners, learners]` Pearson's coefficient of "missed", -1 to 1; `None` with a
      learner that misses all queries or none.
    """
    missed = (learner_ranks > 0).astype(np.float64)
    deviations = missed - missed.mean(1, keepdims=True)
    covariances = deviations @ deviations.T
    scale = np.sqrt(np.diag(covariances))
    return [
        [
            float(c / (scale[p] * scale[q])) if scale[p] * scale[q] else None
            for q, c in enumerate(row)
        ]
        for p, row in enumerate(covariances)
    ]


def mean_over_pairs(matrix: Sequence[Sequence[float | None]]) -> float | None:
    """Mean of what is beside the diagonal; `None` where no pair has a value.

    >>> mean_over_pairs([[1, 0.5], [0.5, 1]]), mean_over_pairs([[1]])
    (0.5, None)
    """
    pairs = [
        value
        for row, values in enumerate(matrix)
        for value in values[:row]
        if value is not None
    ]
    return float(np.mean(pairs)) if pairs else None
