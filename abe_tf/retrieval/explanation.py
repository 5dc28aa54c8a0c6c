"""Why two images match: their cosine, split over the places of both, exactly."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Places:
    """An image's learner embeddings, place by place.

    Attributes:
      view: uint8 RGB `[side, side, 3]`, what the network sees of the image.
      parts: float32 `[learners, h, w, dim]`.
      bias: float32 `[learners, dim]`, what the bias of the linear layer adds; of a
        learner with hidden layers, which has no parts, all.
      outside: `[h, w]` from 0 to 1, how much of a place lies beside the image, where
        the square that the network sees is black.
    """

    view: np.ndarray
    parts: np.ndarray
    bias: np.ndarray
    outside: np.ndarray

    @property
    def embedding(self) -> np.ndarray:
        """The learner embeddings, float32 `[learners, dim]`."""
        return self.parts.sum((1, 2)) + self.bias

    @property
    def not_split(self) -> list[int]:
        """Numbers of learners with hidden layers, from 1."""
        return [n for n, parts in enumerate(self.parts, 1) if not parts.any()]


@dataclasses.dataclass(frozen=True)
class Side:
    """What the places of one of the two images have in their cosines.

    A learner's map and its bias add up to its cosine.

    Attributes:
      view: uint8 RGB `[side, side, 3]`, what the network sees of the image.
      maps: float32 `[learners, h, w]`.
      bias: float32 `[learners]`, what the bias of the linear layer has.
      padding: float32 `[learners]`, what of the map lies beside the image.
    """

    view: np.ndarray
    maps: np.ndarray
    bias: np.ndarray
    padding: np.ndarray


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Why two images match.

    Attributes:
      cosines: float32 `[learners]`.
      shares: float32 `[learners]`, 1 in sum: by these the cosine of the concatenated
        embeddings is the learners' mean; equal where learners are equally long.
      sides: The one image's places and the other's.
    """

    cosines: np.ndarray
    shares: np.ndarray
    sides: tuple[Side, Side]

    def maps(self) -> tuple[np.ndarray, np.ndarray]:
        """`[h, w]` of each side, mean over the learners."""
        one, other = (
            np.einsum("mhw,m->hw", side.maps, self.shares) for side in self.sides
        )
        return one, other


def explain(one: Places, other: Places) -> Explanation:
    """Splits each learner's cosine over the places of both images.

    A place has the product of its part with the other image's whole embedding: as the
    embedding is the sum of its parts, so is the cosine.

    Args:
      one: An image.
      other: Another one, of the same network.
    """
    lengths = [np.linalg.norm(places.embedding, axis=-1) for places in (one, other)]
    # A vector without a length has no cosine.
    squares = np.maximum(lengths[0] * lengths[1], np.finfo(np.float32).tiny)
    cosines = np.einsum("md,md->m", one.embedding, other.embedding) / squares
    sides = _side(one, other, squares), _side(other, one, squares)
    return Explanation(cosines, squares / squares.sum(), sides)


def _side(places: Places, other: Places, squares: np.ndarray) -> Side:
    toward = other.embedding / squares[:, np.newaxis]
    maps = np.einsum("mhwd,md->mhw", places.parts, toward)
    bias = np.einsum("md,md->m", places.bias, toward)
    padding = np.einsum("mhw,hw->m", maps, places.outside.astype(np.float32))
    return Side(places.view, maps, bias, padding)


def places_of(view: np.ndarray, shown: np.ndarray, places: Callable) -> Places:
    """An image's learner embeddings, place by place.

    Args:
      view: uint8 RGB `[side, side, 3]`, what the network sees of the image.
      shown: `[side, side]` from 0 to 1, where that shows the image.
      places: uint8 RGB `[batch, side, side, 3]` to parts and bias, as in `Places`.
    """
    parts, bias = (one[0].numpy() for one in places(view[np.newaxis]))
    return Places(view, parts, bias, _outside(shown, *parts.shape[1:3]))


def _outside(shown: np.ndarray, height: int, width: int) -> np.ndarray:
    """How much of each place lies beside the image.

    Args:
      shown: `[side, side]` from 0 to 1, where the square shows the image.
      height: Number of rows of places.
      width: Number of columns of places.

    Returns:
      `[height, width]` from 0 to 1.
    """
    whole_height, whole_width = shown.shape
    rows = np.arange(whole_height) * height // whole_height
    columns = np.arange(whole_width) * width // whole_width
    sums, counts = np.zeros([2, height, width])
    where = rows[:, np.newaxis], columns
    np.add.at(sums, where, shown)
    np.add.at(counts, where, 1)
    return 1 - sums / counts


def without(learners: Sequence[int]) -> str:
    """What maps say of learners that are not split; nothing where all are.

    Args:
      learners: Their numbers, as `Places.not_split` gives them.
    """
    if not learners:
        return ""
    return (
        f"Maps are without learners {', '.join(map(str, learners))}, which have "
        "hidden layers: their part in a match belongs to no place."
    )
