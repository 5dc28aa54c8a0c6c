"""What our builders for TensorFlow Datasets share."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

# Of one image: what it is called, its class, its box, its bytes.
Example = tuple[str, dict[str, Any]]


def info(
    builder: tfds.core.DatasetBuilder,
    description: str,
    homepage: str,
    citation: str,
    classes: int,
    with_box: bool,
) -> tfds.core.DatasetInfo:
    """What TensorFlow Datasets wants to know of a builder.

    The features are `image` (the encoded file, as it came), `filename`, `label` (from
    0) and, with boxes, `box`: left, top, right, bottom in pixels, right and bottom left
    out.
    """
    features = {
        "image": tfds.features.Image(shape=(None, None, 3)),
        "filename": tfds.features.Text(),
        "label": tfds.features.ClassLabel(num_classes=classes),
    }
    if with_box:
        features["box"] = tfds.features.Tensor(shape=(4,), dtype=np.float32)
    return tfds.core.DatasetInfo(
        builder=builder,
        description=description,
        features=tfds.features.FeaturesDict(features),
        supervised_keys=("image", "label"),
        homepage=homepage,
        citation=citation,
    )


def examples(
    contents: Iterator[tuple[str, bytes]], annotations: dict[str, dict[str, Any]]
) -> Iterator[Example]:
    """Puts images and their annotations together; both by the name of the image."""
    for name, content in contents:
        image = io.BytesIO(content)
        yield name, {"image": image, "filename": name, **annotations[name]}
