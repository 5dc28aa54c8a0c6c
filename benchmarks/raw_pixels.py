"""Recall of raw pixels on the digits: what a model must beat.

python -m benchmarks.raw_pixels
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from abe_tf.config.data import DataConfig
from abe_tf.data import datasets
from abe_tf.retrieval import table
from abe_tf.retrieval.recall import Embedded, measure_recall


def main() -> None:
    """Ranks the test images by the distance of their pixels, scaled to unit length."""
    examples = datasets.load(DataConfig()).test
    pixels = [
        tf.io.decode_png(examples.read(tf.constant(key))).numpy().ravel()
        for key in examples.keys
    ]
    vectors = np.array(pixels, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embedded = Embedded(vectors[:, np.newaxis], examples.labels)
    recall = measure_recall(embedded, (1, 2, 4, 8))
    print(table.as_text(recall))


if __name__ == "__main__":
    main()
