"""The nearest images of each query, where a ranking is needed and not only a count."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from abe_tf.retrieval import distances, ranks
from abe_tf.retrieval.embedded import Embedded

# The nearest of a row are kept while its distances come in wider portions than tiles.
_WIDER = 4


def nearest_images(
    queries: Embedded,
    count: int,
    block: int = 512,
    gallery: Embedded | None = None,
) -> np.ndarray:
    """The nearest images by ensemble distance, nearest first.

    Args:
      queries: What is looked for.
      count: How many; fewer where the gallery holds fewer.
      block: Queries at once.
      gallery: Where it is looked for; among the other queries where `None`.

    Returns:
      `[queries, count]` positions in the gallery, int64.
    """
    rows, columns, floor = ranks.sides(queries, gallery)
    count = min(count, len(columns.labels) - (rows is columns))
    found = np.empty([len(queries), count], np.int64)
    for bounds in rows.blocks(block):
        _, places = smallest(
            rows, columns, bounds, count, block, floor, ("ensemble",), negatives=False
        )
        found[rows.order[slice(*bounds)]] = columns.order[places[0]]
    return found


def smallest(
    rows: ranks.Side,
    columns: ranks.Side,
    bounds: tuple[int, int],
    count: int,
    block: int,
    floor: np.float32,
    kinds: tuple[str, ...],
    negatives: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """The smallest distances of some rows.

    Args:
      rows: Queries.
      columns: Gallery.
      bounds: Of the rows.
      count: How many of each row, at least 1.
      block: Portions of columns are a few times as wide.
      floor: As of `distances.floor`.
      kinds: The distances.
      negatives: Whether of other classes only; of all other images otherwise.

    Returns:
      `[kinds, rows, count]` float32, ascending, and int32 places among the columns;
      infinite where there are fewer.
    """
    number = len(distances.tolerances(floor, rows.learners, kinds))
    shape = [number, bounds[1] - bounds[0], count]
    values, places = tf.fill(shape, np.float32(np.inf)), tf.zeros(shape, tf.int32)
    for tile in columns.blocks(_WIDER * block):
        values, places = _merge_tile(
            *ranks.factors(rows, columns, bounds, tile),
            *(ranks.excluded(rows, columns, bounds, tile, negatives), tile[0]),
            *(values, places, floor, rows.learners, kinds, count),
        )
    return values.numpy(), places.numpy()


@tf.function(reduce_retracing=True)
def _merge_tile(
    left: tf.Tensor,
    right: tf.Tensor,
    out: tf.Tensor,
    first: tf.Tensor,
    values: tf.Tensor,
    places: tf.Tensor,
    floor: tf.Tensor,
    learners: int,
    kinds: tuple[str, ...],
    count: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    tile = tf.stack(list(distances.by_kind(left, right, floor, learners, kinds)))
    tile = tf.where(out, np.float32(np.inf), tf.maximum(tile, 0.0))
    here = tf.broadcast_to(first + tf.range(tf.shape(tile)[2]), tf.shape(tile))
    values = tf.concat([values, tile], -1)
    kept, order = tf.math.top_k(-values, count)
    return -kept, tf.gather(tf.concat([places, here], -1), order, batch_dims=2)
