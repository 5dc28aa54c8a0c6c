"""How the learners of an ensemble lie in an embedding."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Layout:
    """Sizes and lengths of the learners.

    Learner embeddings are `[..., learners, dim]`: shorter ones are filled up with
    zeros. A learner that counts more is longer. The mean of the learners' distances is
    then the weighted mean of those between vectors of unit length, the lengths being
    the weights, and the Euclidean distance of the learners side by side weights their
    squares by the squares of the lengths.

    Attributes:
      dims: Dimensions of each, without what fills up.
      lengths: Length of each, above 0; on average 1.
    """

    dims: tuple[int, ...]
    lengths: tuple[float, ...]

    @classmethod
    def equal(cls, learners: int, dim: int) -> Layout:
        """Learners of one size that count alike."""
        return cls((dim,) * learners, (1.0,) * learners)

    @classmethod
    def weighted(cls, dims: Sequence[int], weights: Sequence[float]) -> Layout:
        """Learners that count by weights.

            >>> Layout.weighted([4, 4, 4], [1, 2, 3]).lengths
            (0.5, 1.0, 1.5)

        Args:
          dims: Dimensions of each.
          weights: How much the distance of each counts, above 0; of any sum.
        """
        if len(set(weights)) == 1:
            return cls(tuple(dims), (1.0,) * len(dims))
        mean = sum(weights) / len(weights)
        return cls(tuple(dims), tuple(weight / mean for weight in weights))

    @property
    def is_equal(self) -> bool:
        """Whether all learners are of one size and count alike."""
        return self == Layout.equal(*self.shape)

    @property
    def learners(self) -> int:
        """Number of learners."""
        return len(self.dims)

    @property
    def dim(self) -> int:
        """Dimensions of one, with what fills up."""
        return max(self.dims)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the learner embeddings of one image."""
        return self.learners, self.dim

    @property
    def size(self) -> int:
        """Dimensions of the learners side by side."""
        return sum(self.dims)

    def joined(self, learner_embeddings: np.ndarray) -> np.ndarray:
        """The learners side by side, without what fills up.

        Args:
          learner_embeddings: `[..., learners, dim]`.

        Returns:
          `[..., size]`, of the same type.
        """
        parts = [learner_embeddings[..., m, :d] for m, d in enumerate(self.dims)]
        return np.concatenate(parts, -1)

    def apart(self, rows: np.ndarray) -> np.ndarray:
        """What `joined` was given: `[..., learners, dim]` from `[..., size]`."""
        learners = np.zeros([*rows.shape[:-1], *self.shape], rows.dtype)
        ends = np.cumsum(self.dims)
        for number, (end, dim) in enumerate(zip(ends, self.dims, strict=True)):
            learners[..., number, :dim] = rows[..., end - dim : end]
        return learners

    def values(self) -> dict[str, Any]:
        """All of it for JSON; `None` for what follows from learners and dim."""
        equal = Layout.equal(*self.shape)
        return {
            "learners": self.learners,
            "dim": self.dim,
            "dims": None if self.dims == equal.dims else list(self.dims),
            "lengths": None if self.lengths == equal.lengths else list(self.lengths),
        }

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Layout:
        """Reads what `values` gave, among other values; `None` may be missing.

        Raises:
          KeyError: Number or dimensions are missing.
        """
        equal = cls.equal(values["learners"], values["dim"])
        return cls(
            tuple(values.get("dims") or equal.dims),
            tuple(values.get("lengths") or equal.lengths),
        )
