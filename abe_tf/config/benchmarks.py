"""What is known of the public benchmarks before TensorFlow is imported."""

from __future__ import annotations

import os
import pathlib

# The K of Recall@K that the paper has for a data set; others have the first four.
RECALL_AT = {
    "stanford_online_products": (1, 10, 100, 1000),
    "in_shop": (1, 10, 20, 30, 40, 50),
}
# Of these the paper's cropped variant stretches the box to a square.
STRETCHED = ("cars196",)
# What TensorFlow Datasets calls them; and its own of the same data, where it has one
# that can still be made, or may be there already.
BUILDERS = {
    "cars196": "abe_cars196",
    "cub200_2011": "abe_cub200_2011",
    "stanford_online_products": "abe_stanford_online_products",
    "in_shop": "abe_in_shop",
    "omniglot": "abe_omniglot",
}
OWN_BUILDERS = {
    "cub200_2011": "caltech_birds2011",
    "stanford_online_products": "stanford_online_products",
}
BENCHMARKS = tuple(BUILDERS)


def is_prepared(dataset: str, data_dir: str | None) -> bool:
    """Whether TensorFlow Datasets seems to hold a benchmark already.

    If so, the archives that it was made from may be gone.

    Args:
      dataset: Its name here.
      data_dir: Where TensorFlow Datasets keeps what it prepared; its default where
        `None`.
    """
    if dataset not in BENCHMARKS:
        return False
    root = data_dir or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    names = [BUILDERS[dataset], OWN_BUILDERS.get(dataset)]
    folder = pathlib.Path(os.path.expanduser(root))
    return any(any((folder / name).glob("*/features.json")) for name in names if name)
