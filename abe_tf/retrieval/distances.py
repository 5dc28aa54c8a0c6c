"""Distances between images, by learner, ensemble and concatenation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

# Ways to measure; "learners" stands for as many as there are.
KINDS = ("learners", "ensemble", "concatenated")
# Rounding of what is meant to be of unit length.
_UNIT = 1e-2
# A mean squared distance from the mean below which float32's products lose too much.
_NARROW = 1e-3


def augmented(learner_embeddings: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Vectors whose inner products are squared distances: one multiplication, no sums.

    Args:
      learner_embeddings: `[images, learners, dim]` floating point.
      order: Positions of the images that are wanted.

    Returns:
      The right factors, `[learners, images, dim + 2]` float32.
    """
    _, learners, dim = learner_embeddings.shape
    right = np.ones([learners, len(order), dim + 2], np.float32)
    for learner, factor in enumerate(right):
        factor[:, :dim] = learner_embeddings[order, learner]
        factor[:, dim + 1] = np.einsum("id,id->i", factor[:, :dim], factor[:, :dim])
    return right


def other_factor(right: np.ndarray) -> np.ndarray:
    """The left factors of the same images: of -2 x, the square of x, and 1."""
    left = -2 * right
    left[..., -2], left[..., -1] = right[..., -1], right[..., -2]
    return left


def comparable(*sides: np.ndarray) -> tuple[list[np.ndarray], np.float32]:
    """Embeddings whose distances rank as the given ones' do, and their noise floor.

    Those of unit length, as our networks give them, stay as they are, unless all lie
    close to one point. Others are moved by their mean, one a learner, and divided by
    the longest that is left: neither changes a ranking, and float32's products lose
    less.

    Args:
      sides: Learner embeddings, `[images, learners, dim]`.

    Returns:
      As many, and what `noise_floor` gives: of those that were moved no less than what
      rounding the given numbers to float32 has changed.
    """
    lengths = [np.linalg.norm(side.astype(np.float64), axis=-1).max() for side in sides]
    given = max(lengths)
    images = sum(map(len, sides))
    means = sum(side.sum(0, dtype=np.float64) for side in sides) / images
    # Of vectors of unit length their mean squared distance from the mean.
    spread = 1 - np.square(means).sum(-1).max()
    if abs(given - 1) <= _UNIT and spread > _NARROW:
        return list(sides), noise_floor(*sides)
    moved = [side - means for side in sides]
    longest = max(np.linalg.norm(side, axis=-1).max() for side in moved) or 1.0
    scaled = [(side / longest).astype(np.float32) for side in moved]
    rounding = (4 * np.finfo(np.float32).eps * given / longest) ** 2
    return scaled, np.float32(max(noise_floor(*scaled), rounding))


def noise_floor(*sides: np.ndarray) -> np.float32:
    """The squared distance of one learner that float32 cannot tell from 0.

    Without it, the noise between images at one point would order them, and give a
    collapsed model some recall.

    Args:
      sides: Learner embeddings, `[images, learners, dim]`.
    """
    longest = max(
        float(np.square(side[:, learner].astype(np.float32)).sum(-1).max())
        for side in sides
        for learner in range(side.shape[1])
    )
    # 1e-6 for vectors of unit length.
    return np.float32(8 * np.finfo(np.float32).eps * longest)


def by_kind(
    left: tf.Tensor,
    right: tf.Tensor,
    noise_floor: tf.Tensor,
    num_learners: int,
    kinds: tuple[str, ...],
) -> Iterator[tf.Tensor]:
    """Distances of queries to a gallery, one kind after the other.

    Args:
      left: Left factor of the queries, as returned by `other_factor`.
      right: Right factor of the gallery, as returned by `augmented`.
      noise_floor: What counts as 0, as returned by `noise_floor`.
      num_learners: Number of learners; static, which no shape in a graph is for sure.
      kinds: Kinds of distance, of `KINDS` and in their order.

    Yields:
      `[queries, gallery]` float32: of each learner, squared; the paper's ensemble
      distance times the learners, the sum of their plain distances; the distance of the
      concatenated embeddings, squared. Neither squares nor factors change a ranking.
      Squares may lie below 0 by up to the floor for each learner.
    """
    plain = squared = None
    for learner in range(num_learners):
        one = tf.matmul(left[learner], right[learner], transpose_b=True)
        if "learners" in kinds:
            yield one
        if "ensemble" in kinds:
            distance = tf.sqrt(tf.where(one < noise_floor, 0.0, one))
            plain = distance if plain is None else plain + distance
        if "concatenated" in kinds:
            squared = one if squared is None else squared + one
    if plain is not None:
        yield plain
    if squared is not None:
        yield squared


def tolerances(
    noise_floor: np.float32, num_learners: int, kinds: tuple[str, ...]
) -> np.ndarray:
    """How far apart two distances may be that count as equal: float32's noise.

    Returns:
      `[kinds, 1]` float32, in the units of `by_kind`.
    """
    each = {
        "learners": [1] * num_learners,
        # Where distances are, and not their squares, noise is half as large or less.
        "ensemble": [num_learners],
        "concatenated": [num_learners],
    }
    factors = [[factor] for kind in kinds for factor in each[kind]]
    return noise_floor * np.array(factors, np.float32)
