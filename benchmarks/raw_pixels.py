"""Recall of raw pixels on a data set: what a model must beat.

python -m benchmarks.raw_pixels --dataset=digits --image_size=48 --resize_size=48
"""

from __future__ import annotations

import numpy as np

from abe_tf.config import command
from abe_tf.config.data import DataConfig


def main(data: DataConfig) -> None:
    """Ranks the test images by the distance of their pixels, scaled to unit length."""
    data.check_paths()
    from abe_tf.data import datasets
    from abe_tf.data.pipeline import Loader, evaluation_batches
    from abe_tf.data.pixels.preprocessing import Preprocessing
    from abe_tf.reports import text
    from abe_tf.retrieval.embedded import Embedded
    from abe_tf.retrieval.recall import measure_recall

    examples = datasets.load(data).test
    batches = evaluation_batches(Loader(examples, Preprocessing.of(data)), 64)
    pixels = np.concatenate([batch.numpy() for batch in batches])
    vectors = pixels.reshape(len(pixels), -1).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embedded = Embedded(vectors[:, np.newaxis], examples.labels)
    print(text.as_text(measure_recall(embedded, (1, 2, 4, 8))))


if __name__ == "__main__":
    command.run(main, DataConfig)
