"""The nearest images of each query, where a ranking is needed and not only a count."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from abe_tf.retrieval import distances
from abe_tf.retrieval.matrix import Bounds, DistanceMatrix

# The nearest of a row are kept while its distances come in wider portions than tiles.
_WIDER = 4


def nearest_images(matrix: DistanceMatrix, count: int, block: int = 512) -> np.ndarray:
    """The nearest images by ensemble distance, nearest first.

        >>> from abe_tf.retrieval.embedded import Embedded
        >>> x = np.array([[[1, 0]], [[0.8, 0.6]], [[0.6, 0.8]], [[0, 1]]], np.float32)
        >>> matrix = DistanceMatrix.of(Embedded(x, np.array([0, 0, 1, 1])))
        >>> nearest_images(matrix, count=2)
        array([[1, 2],
               [2, 0],
               [1, 3],
               [2, 1]])

    Args:
      matrix: The distances between queries and gallery.
      count: Number of images; fewer where the gallery holds fewer.
      block: Queries at once.

    Returns:
      `[queries, count]` positions in the gallery, int64.
    """
    rows, columns = matrix.rows, matrix.columns
    count = min(count, len(columns.labels) - matrix.has_one_side)
    nearest = np.empty([len(rows.labels), count], np.int64)
    for bounds in rows.blocks(block):
        _, places = smallest(
            matrix, bounds, count, block, ("ensemble",), negatives=False
        )
        nearest[rows.order[slice(*bounds)]] = columns.order[places[0]]
    return nearest


def smallest(
    matrix: DistanceMatrix,
    bounds: Bounds,
    count: int,
    block: int,
    kinds: tuple[str, ...],
    negatives: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """The smallest distances of some rows.

    Args:
      matrix: The distances between queries and gallery.
      bounds: Bounds of the rows.
      count: Number of columns for each row, at least 1.
      block: Portions of columns are a few times as wide.
      kinds: The distances.
      negatives: Whether of other classes only; of all other images otherwise.

    Returns:
      `[kinds, rows, count]` float32, ascending, and int32 places among the columns;
      infinite where there are fewer.
    """
    number = len(distances.tolerances(matrix.noise_floor, matrix.num_learners, kinds))
    shape = [number, bounds[1] - bounds[0], count]
    values, places = tf.fill(shape, np.float32(np.inf)), tf.zeros(shape, tf.int32)
    for tile in matrix.columns.blocks(_WIDER * block):
        left, right = matrix.factors(bounds, tile)
        values, places = _merge_tile(
            left=left,
            right=right,
            out=matrix.excluded(bounds, tile, negatives),
            first=tile[0],
            values=values,
            places=places,
            noise_floor=matrix.noise_floor,
            num_learners=matrix.num_learners,
            kinds=kinds,
            count=count,
        )
    return values.numpy(), places.numpy()


@tf.function(autograph=False, reduce_retracing=True)
def _merge_tile(
    left: tf.Tensor,
    right: tf.Tensor,
    out: tf.Tensor,
    first: tf.Tensor,
    values: tf.Tensor,
    places: tf.Tensor,
    noise_floor: tf.Tensor,
    num_learners: int,
    kinds: tuple[str, ...],
    count: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    tile = tf.stack(
        list(distances.by_kind(left, right, noise_floor, num_learners, kinds))
    )
    tile = tf.where(out, np.float32(np.inf), tf.maximum(tile, 0.0))
    here = tf.broadcast_to(first + tf.range(tf.shape(tile)[2]), tf.shape(tile))
    values = tf.concat([values, tile], -1)
    kept, order = tf.math.top_k(-values, count)
    return -kept, tf.gather(tf.concat([places, here], -1), order, batch_dims=2)
