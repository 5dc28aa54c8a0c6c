"""An evaluation's images parted over replicas and processes: each once, in order."""

import types

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.data.pipeline import Share, evaluation_batches


@pytest.mark.parametrize(
    ("images", "batch_size", "replicas", "processes"),
    [
        *((20, 3, 1, 1), (20, 3, 2, 1), (12, 3, 2, 1), (2, 4, 2, 1)),
        *((1, 3, 2, 2), (7, 1, 1, 2), (17, 2, 2, 2), (0, 2, 2, 1)),
    ],
)
def test_every_image_comes_once_and_in_order(images, batch_size, replicas, processes):
    """Behind the last one comes that again, so that all have as many."""
    loader = types.SimpleNamespace(
        examples=range(images),
        traced_for_evaluation=lambda i: tf.fill([1, 1, 3], tf.cast(i, tf.uint8)),
    )
    total = replicas * processes
    shares = [Share(one * replicas, replicas, total) for one in range(processes)]
    by_process = [list(evaluation_batches(loader, batch_size, one)) for one in shares]
    assert len({len(batches) for batches in by_process}) == 1
    found = []
    for first in range(0, len(by_process[0]), replicas):
        round_ = [b for own in by_process for b in own[first : first + replicas]]
        assert len(round_) == total
        (size,) = {len(batch) for batch in round_}
        assert 0 < size <= batch_size
        found += np.concatenate(round_)[:, 0, 0, 0].tolist()
    assert found[:images] == list(range(images))
    assert set(found[images:]) <= {images - 1}
    assert len(found) - images < total
