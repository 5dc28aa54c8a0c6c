"""Loops over a tile of distances, compiled: one pass where array operations take ten.

A tile is `[learners, rows, columns]` float32: squared distances of each learner, the
inner products of `distances.augmented`. What comes out has a row for each kind of
distance, in the order of `distances.by_kind`. Functions run without the interpreter's
lock, so that each thread has a tile of its own.
"""

from __future__ import annotations

import numpy as np

from abe_tf.compiled import compiled


@compiled
def _count_row(  # type: ignore[no-untyped-def]
    values, limit, limits, label, labels, mixed, mirrored, by_column
):
    count = 0
    if mixed:
        for column in range(values.shape[0]):
            negative = labels[column] != label
            count += negative & (values[column] <= limit)
            if mirrored:
                by_column[column] += negative & (values[column] <= limits[column])
    elif mirrored:
        for column in range(values.shape[0]):
            count += values[column] <= limit
            by_column[column] += values[column] <= limits[column]
    else:
        for column in range(values.shape[0]):
            count += values[column] <= limit
    return count


@compiled
def _add_roots(squares, noise_floor, sums):  # type: ignore[no-untyped-def]
    for column in range(squares.shape[0]):
        square = squares[column]
        sums[column] += np.sqrt(square if square >= noise_floor else np.float32(0))


@compiled
def count_negatives(  # type: ignore[no-untyped-def]
    tile,
    noise_floor,
    kinds,
    row_limits,
    column_limits,
    row_labels,
    column_labels,
    mixed,
    mirrored,
    by_row,
    by_column,
):
    """Counts negatives that are no farther than a limit, by row and by column.

    Args:
      tile: See above.
      noise_floor: Noise floor, as returned by `distances.noise_floor`.
      kinds: Whether learners, ensemble and concatenation are wanted.
      row_limits: `[kinds, rows]` float32.
      column_limits: `[kinds, columns]` float32.
      row_labels: `[rows]`.
      column_labels: `[columns]`.
      mixed: Whether some of the pairs may be of one class.
      mirrored: Whether columns are counted too.
      by_row: `[kinds, rows]` int64, added to.
      by_column: `[kinds, columns]` int32, added to; of one thread alone.
    """
    plain = np.empty(tile.shape[2], np.float32)
    joined = np.empty(tile.shape[2], np.float32)
    for row in range(tile.shape[1]):
        kind = 0
        plain[:] = 0
        joined[:] = 0
        label = row_labels[row]
        for learner in range(tile.shape[0]):
            squares = tile[learner, row]
            if kinds[0]:
                by_row[kind, row] += _count_row(
                    squares,
                    row_limits[kind, row],
                    column_limits[kind],
                    label,
                    column_labels,
                    mixed,
                    mirrored,
                    by_column[kind],
                )
                kind += 1
            if kinds[1]:
                _add_roots(squares, noise_floor, plain)
            if kinds[2]:
                joined += squares
        for wanted, values in ((kinds[1], plain), (kinds[2], joined)):
            if wanted:
                by_row[kind, row] += _count_row(
                    values,
                    row_limits[kind, row],
                    column_limits[kind],
                    label,
                    column_labels,
                    mixed,
                    mirrored,
                    by_column[kind],
                )
                kind += 1


@compiled
def _nearest_own(values, label, labels, itself):  # type: ignore[no-untyped-def]
    nearest = np.float32(np.inf)
    for column in range(values.shape[0]):
        if labels[column] == label and column != itself:
            nearest = min(nearest, values[column])
    return nearest


@compiled
def nearest_positives(  # type: ignore[no-untyped-def]
    tile, noise_floor, kinds, row_labels, column_labels, shift, nearest
):
    """Lowers `nearest` to the distance of the nearest image of the same class.

    Args:
      tile: See above.
      noise_floor: Noise floor, as returned by `distances.noise_floor`.
      kinds: Whether learners, ensemble and concatenation are wanted.
      row_labels: `[rows]`.
      column_labels: `[columns]`.
      shift: Row i is the image of column i + shift, which is not looked at.
      nearest: `[kinds, rows]` float32.
    """
    plain = np.empty(tile.shape[2], np.float32)
    joined = np.empty(tile.shape[2], np.float32)
    for row in range(tile.shape[1]):
        kind = 0
        plain[:] = 0
        joined[:] = 0
        label, itself = row_labels[row], row + shift
        for learner in range(tile.shape[0]):
            squares = tile[learner, row]
            if kinds[0]:
                own = _nearest_own(squares, label, column_labels, itself)
                nearest[kind, row] = min(nearest[kind, row], own)
                kind += 1
            if kinds[1]:
                _add_roots(squares, noise_floor, plain)
            if kinds[2]:
                joined += squares
        for wanted, values in ((kinds[1], plain), (kinds[2], joined)):
            if wanted:
                own = _nearest_own(values, label, column_labels, itself)
                nearest[kind, row] = min(nearest[kind, row], own)
                kind += 1
