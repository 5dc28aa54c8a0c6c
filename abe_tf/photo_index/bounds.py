"""What 8-bit codes tell of distances for certain.

A unit vector x is stored as x = u c + e, with c whole numbers in [-127, 127], u the
unit of its row and e what rounding has left. For a query q of unit length

    |q - x|^2 = |q|^2 + |x|^2 - 2 q.x  >=  2 - 2 (u q.c + bound)

where `bound` is at least |e| + half of what |x|^2 lacks to 1. A row whose lower bound
is beyond the k-th best distance cannot be among the k best.
"""

from __future__ import annotations

import numpy as np

_LARGEST = 127
# Of 16 bits, and smaller where sums of so many products with codes would leave 32.
_QUERY_LARGEST, _SUM_LARGEST = 2**14, 2**31 - 1
# What float32 rounds in the bound's own arithmetic, generously.
_ROUNDING = np.float32(2e-6)


def encoded(embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The codes of embeddings.

    Args:
      embeddings: float32 `[rows, learners, dim]`, unit length.

    Returns:
      int8 `[rows, learners, dim]`, and float32 `[rows, 2]`: of each row the unit, and
      the bound, which holds for each of its learners.
    """
    units = np.abs(embeddings).max((1, 2)).astype(np.float32) / np.float32(_LARGEST)
    units = np.maximum(units, np.finfo(np.float32).tiny)
    codes = np.rint(embeddings / units[:, np.newaxis, np.newaxis])
    codes = np.clip(codes, -_LARGEST, _LARGEST).astype(np.int8)
    restored = codes * units[:, np.newaxis, np.newaxis].astype(np.float64)
    return codes, np.stack([units, _bounds(embeddings, restored)], 1)


def encoded_query(learner_embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same of one query, in 16 bits.

    Args:
      learner_embeddings: float32 `[learners, dim]`, unit length.

    Returns:
      int16 `[learners, dim]`, and float32 `[2]`.
    """
    dim = learner_embeddings.shape[-1]
    largest = min(_QUERY_LARGEST, _SUM_LARGEST // (_LARGEST * dim))
    unit = np.float32(np.abs(learner_embeddings).max() / largest)
    codes = np.rint(learner_embeddings / unit).astype(np.int16)
    restored = codes * np.float64(unit)
    (bound,) = _bounds(learner_embeddings[np.newaxis], restored[np.newaxis])
    return codes, np.array([unit, bound], np.float32)


def _bounds(embeddings: np.ndarray, restored: np.ndarray) -> np.ndarray:
    exact = embeddings.astype(np.float64)
    errors = np.linalg.norm(exact - restored, axis=-1)
    # An inner product with a unit vector is off by at most as much; with what rounding
    # has left of that vector too, by a little more.
    off_unit = np.abs(np.square(exact).sum(-1) - 1) / 2
    largest = (errors * 1.001 + off_unit).max(-1)
    # Rounded up: no float32 below it.
    return np.nextafter(largest.astype(np.float32), np.float32(1)) + _ROUNDING
