"""What 8-bit codes tell of distances for certain.

A vector x of length l is stored as x = u c + e, with c whole numbers in [-127, 127], u
the unit of its row and e what rounding has left. For a query q of the same length

    |q - x|^2 = |q|^2 + |x|^2 - 2 q.x  >=  2 l^2 - 2 (u q.c + bound)

where `bound` is at least l |e| + half of what |x|^2 lacks to l^2. A row whose lower
bound is beyond the k-th best distance cannot be among the k best.
"""

from __future__ import annotations

import numpy as np

from abe_tf.layout import Layout

_LARGEST = 127
# Of 16 bits, and smaller where sums of so many products with codes would leave 32.
_QUERY_LARGEST, _SUM_LARGEST = 2**14, 2**31 - 1
# What float32 rounds in the bound's own arithmetic, generously; of vectors of length 1.
_ROUNDING = np.float32(2e-6)


def encoded(embeddings: np.ndarray, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """The codes of embeddings.

    Args:
      embeddings: float32 `[rows, learners, dim]`.
      layout: Lengths of the learners.

    Returns:
      int8 `[rows, learners, dim]`, and float32 `[rows, 2]`: of each row the unit, and
      the bound, which holds for each of its learners.
    """
    units = np.abs(embeddings).max((1, 2)).astype(np.float32) / np.float32(_LARGEST)
    units = np.maximum(units, np.finfo(np.float32).tiny)
    codes = np.rint(embeddings / units[:, np.newaxis, np.newaxis])
    codes = np.clip(codes, -_LARGEST, _LARGEST).astype(np.int8)
    restored = codes * units[:, np.newaxis, np.newaxis].astype(np.float64)
    return codes, np.stack([units, _bounds(embeddings, restored, layout)], 1)


def encoded_query(
    learner_embeddings: np.ndarray, layout: Layout
) -> tuple[np.ndarray, np.ndarray]:
    """The same of one query, in 16 bits.

    Args:
      learner_embeddings: float32 `[learners, dim]`.
      layout: Lengths of the learners.

    Returns:
      int16 `[learners, dim]`, and float32 `[2]`.
    """
    dim = learner_embeddings.shape[-1]
    largest = min(_QUERY_LARGEST, _SUM_LARGEST // (_LARGEST * dim))
    unit = np.float32(np.abs(learner_embeddings).max() / largest)
    codes = np.rint(learner_embeddings / unit).astype(np.int16)
    restored = codes * np.float64(unit)
    (bound,) = _bounds(learner_embeddings[np.newaxis], restored[np.newaxis], layout)
    return codes, np.array([unit, bound], np.float32)


def _bounds(embeddings: np.ndarray, restored: np.ndarray, layout: Layout) -> np.ndarray:
    exact, lengths = embeddings.astype(np.float64), np.array(layout.lengths)
    errors = np.linalg.norm(exact - restored, axis=-1)
    # An inner product with a vector is off by at most its length times as much; with
    # what rounding has left of that vector too, by a little more.
    off_length = np.abs(np.square(exact).sum(-1) - lengths**2) / 2
    largest = (errors * lengths * 1.001 + off_length).max(-1)
    rounding = _ROUNDING * np.float32(max(layout.lengths) ** 2)
    # Rounded up: no float32 below it.
    return np.nextafter(largest.astype(np.float32), np.float32(np.inf)) + rounding
