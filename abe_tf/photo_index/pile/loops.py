"""Loops over pairs of photos: who may be near, who is, and who hangs together then."""

from __future__ import annotations

import functools

import numpy as np

from abe_tf.compiled import as_numpy, compiled
from abe_tf.photo_index.scan import exact

# Squares that are looked at together.
_STRIDE = 256
# What float32 may change in a sum of the learners' distances, generously.
_ROUNDING = 1e-3


@as_numpy
def find(parent, row):  # type: ignore[no-untyped-def]
    """The first row that a row hangs together with; paths become shorter on the way."""
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row


@as_numpy
def join(  # type: ignore[no-untyped-def]
    squares, bound, start, column, parent, ones, others, limit
):
    """Has the pairs of a tile hang together that are near.

    Looked at are those alone whose squares are within the bound, and that do not hang
    together yet.
    """
    for row in range(squares.shape[0]):
        for first in range(0, squares.shape[1], _STRIDE):
            end = min(first + _STRIDE, squares.shape[1])
            # Without a branch, compilers count many at once; mostly there is none.
            passing = 0
            for place in range(first, end):
                passing += squares[row, place] <= bound
            for place in range(first, end if passing else first):
                # A pair is looked at once: where the other one comes after.
                if squares[row, place] > bound or column + place <= start + row:
                    continue
                one, other = find(parent, start + row), find(parent, column + place)
                if one != other and is_near(ones[row], others[place], limit):
                    # The first of all stays the root.
                    parent[max(one, other)] = min(one, other)


@as_numpy
def merge(parent, other):  # type: ignore[no-untyped-def]
    """Has hang together what hangs together elsewhere."""
    for row in range(parent.shape[0]):
        one, two = find(parent, row), find(parent, find(other, row))
        parent[max(one, two)] = min(one, two)


@as_numpy
def is_near(one, other, limit):  # type: ignore[no-untyped-def]
    """Whether a pair is within a limit, by ensemble distance in float64."""
    total = limit * one.shape[0]
    rough = _roughly(one, other, total + _ROUNDING)
    if abs(rough - total) > _ROUNDING:
        return rough < total
    return exact(one, other) <= total


@functools.partial(compiled, error_model="numpy", in_any_order=True)
def _roughly(one, other, enough):  # type: ignore[no-untyped-def]
    """As `exact`, in float32 and only as far as that is not beyond what is enough."""
    total = 0.0
    for learner in range(one.shape[0]):
        square = np.float32(0)
        for i in range(one.shape[1]):
            difference = one[learner, i] - other[learner, i]
            square += difference * difference
        total += np.sqrt(square)
        if total > enough:
            break
    return total


@as_numpy
def roots(parent):  # type: ignore[no-untyped-def]
    """The first row that each row hangs together with."""
    firsts = np.empty_like(parent)
    for row in range(parent.shape[0]):
        firsts[row] = find(parent, row)
    return firsts
