"""Loops over pairs of photos: who may be near, who is, and who hangs together then."""

from __future__ import annotations

import numpy as np

from abe_tf.photo_index.scan import exact
from abe_tf.retrieval.compiled import as_numpy

# Squares that are looked at together.
_STRIDE = 256


@as_numpy
def find(parent, row):  # type: ignore[no-untyped-def]
    """The first row that a row hangs together with; paths become shorter on the way."""
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row


@as_numpy
def candidates(  # type: ignore[no-untyped-def]
    squares, width, bound, start, column, parent, pairs, place
):
    """Pairs that may be near and do not hang together yet; where to go on."""
    number = 0
    while place < squares.shape[0] and number < pairs.shape[0]:
        if place % _STRIDE == 0 and place + _STRIDE <= squares.shape[0]:
            # Without a branch, compilers count many at once; mostly there is none.
            passing = 0
            for other in range(place, place + _STRIDE):
                passing += squares[other] <= bound
            if passing == 0:
                place += _STRIDE
                continue
        if squares[place] <= bound:
            one, other = start + place // width, column + place % width
            if other > one and find(parent, one) != find(parent, other):
                pairs[number, 0], pairs[number, 1] = one, other
                number += 1
        place += 1
    return number, place


@as_numpy
def are_near(ones, others, one, other, limit):  # type: ignore[no-untyped-def]
    """Whether pairs are within a limit, by ensemble distance in float64."""
    near = np.empty(one.shape[0], np.bool_)
    for pair in range(one.shape[0]):
        total = exact(ones[one[pair]], others[other[pair]])
        near[pair] = total <= limit * ones.shape[1]
    return near


@as_numpy
def unite(parent, pairs):  # type: ignore[no-untyped-def]
    """Has pairs hang together."""
    for pair in range(pairs.shape[0]):
        one, other = find(parent, pairs[pair, 0]), find(parent, pairs[pair, 1])
        # The first of all stays the root.
        parent[max(one, other)] = min(one, other)


@as_numpy
def roots(parent):  # type: ignore[no-untyped-def]
    """The first row that each row hangs together with."""
    firsts = np.empty_like(parent)
    for row in range(parent.shape[0]):
        firsts[row] = find(parent, row)
    return firsts
