"""A picture of a batch as the network sees it, and numbers of a data set."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from abe_tf.data.examples import Examples
from abe_tf.data.pipeline import mapped
from abe_tf.data.pixels.decoding import read_header

_GAP, _WHITE = 4, 255
# Sizes are read from files: a thousand tell as much as all.
_SIZES = 1000


def contact_sheet(pixels: np.ndarray) -> np.ndarray:
    """Puts images side by side.

    Args:
      pixels: `[images, height, width, 3]` uint8.

    Returns:
      uint8 RGB, about as many rows as columns, white between the images.
    """
    count, height, width, _ = pixels.shape
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    sheet = np.full(
        [rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3],
        _WHITE,
        np.uint8,
    )
    for number, image in enumerate(pixels):
        row, column = divmod(number, columns)
        top, left = row * (height + _GAP) + _GAP, column * (width + _GAP) + _GAP
        sheet[top : top + height, left : left + width] = image
    return sheet


def describe(name: str, examples: Examples) -> str:
    """A line on a split: classes, images, the smallest and the largest class."""
    if not len(examples):
        return f"{name:12}      0 classes        0 images"
    labels, counts = np.unique(examples.labels, return_counts=True)
    small, large = int(counts.argmin()), int(counts.argmax())
    return (
        f"{name:12} {len(labels):6,} classes {len(examples):8,} images; smallest "
        f"{examples.class_names[labels[small]]} with {counts[small]}, largest "
        f"{examples.class_names[labels[large]]} with {counts[large]}"
    )


def describe_sizes(examples: Examples, max_pixels: int) -> str:
    """A line on widths and heights, of a thousand images at most.

    Args:
      examples: The images.
      max_pixels: None has more pixels.
    """
    step = -(-len(examples) // _SIZES)
    keys = tf.data.Dataset.from_tensor_slices(examples.keys[::step])
    sizes = np.array(
        list(
            mapped(
                keys, lambda key: read_header(examples.read(key), max_pixels).size
            ).as_numpy_iterator()
        )
    )
    parts = []
    for name, values in (("wide", sizes[:, 1]), ("high", sizes[:, 0])):
        low, middle, high = values.min(), int(np.median(values)), values.max()
        parts.append(f"{low} to {high} {name} (median {middle})")
    every = f"of one image in {step}" if step > 1 else "of all images"
    return f"pixels       {', '.join(parts)}, {every}"
