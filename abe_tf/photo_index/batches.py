"""Many photos at once: read in threads, embedded in batches of one size."""

from __future__ import annotations

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from abe_tf.photo_index.model import IndexModel


def embed_padded(
    model: Callable[[], IndexModel], squares: list, batch_size: int
) -> np.ndarray | list:
    """Embeds squares in one batch of always the same size.

    Another size would have TensorFlow choose and compile anew.
    """
    if not squares:
        return []
    padding = [squares[-1]] * (batch_size - len(squares))
    return model().embed(np.stack([*squares, *padding]))[: len(squares)]


def in_threads(work: Callable, items: list, ahead: int) -> Iterator:
    """What comes of items, in order, by as many threads as there are processors.

    Args:
      work: Is called with each.
      items: What.
      ahead: Number of results that wait at most to be taken.
    """
    workers = len(os.sched_getaffinity(0))
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        waiting: collections.deque[concurrent.futures.Future] = collections.deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
