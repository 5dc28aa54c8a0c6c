"""`abe_digits`: two-digit numbers composed from scikit-learn's handwritten digits.

A small retrieval problem that needs no download: 100 classes, the numbers 00 to 99,
photographed, as it were, at random place, size and slant among clutter.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.ndimage
import sklearn.datasets
import tensorflow_datasets as tfds

from abe_tf.data.builders.preparing import prepare
from abe_tf.errors import InputError

SIDE = 48
IMAGES_PER_CLASS = 80
CLASS_NAMES = tuple(f"{number:02d}" for number in range(100))
_TRAIN_CLASSES = 50
_SEED = 20181004

_CITATION = """
@misc{alpaydin1998optical,
  author = {Alpaydin, E. and Kaynak, C.},
  title = {Optical Recognition of Handwritten Digits},
  year = {1998},
  publisher = {UCI Machine Learning Repository},
}
"""


class AbeDigits(tfds.core.GeneratorBasedBuilder):
    """8,000 grey images of 48 x 48 pixels, 80 of each number from 00 to 99.

    The numbers 00 to 49 are the split "train", 50 to 99 "test". The 1,797 handwritten
    digits are divided first, so that none stands in images of both splits. Every image
    is a function of the seed alone.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(SIDE, SIDE, 1), encoding_format="png"
                    ),
                    "label": tfds.features.ClassLabel(names=list(CLASS_NAMES)),
                }
            ),
            supervised_keys=("image", "label"),
            description=self.__doc__,
            homepage="https://archive.ics.uci.edu/dataset/80",
            citation=_CITATION,
            # The order on disk stays the order of generation.
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        del dl_manager  # nothing to download
        halves = _handwriting()
        return {
            "train": _generate(range(_TRAIN_CLASSES), halves[0]),
            "test": _generate(range(_TRAIN_CLASSES, len(CLASS_NAMES)), halves[1]),
        }

    def _generate_examples(self, **kwargs: Any) -> Iterator:
        raise NotImplementedError("_split_generators gives the generators themselves")


def load(data_dir: str | None) -> tuple[list[bytes], list[int]]:
    """All images, train before test, made on the first call and kept on disk.

    Args:
      data_dir: Where TensorFlow Datasets keeps its data; its default where `None`.

    Returns:
      The images as PNG files, and their labels, 0 to 99.
    """
    tfds.disable_progress_bar()
    builder = AbeDigits(data_dir=data_dir)
    if not builder.is_prepared():
        print(f"Making the digits, once, in {builder.data_dir} ...", flush=True)
    # TensorFlow Datasets would speak of a download of unknown size.
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            builder = prepare(lambda: AbeDigits(data_dir=data_dir))
    except OSError as error:
        raise InputError(
            "TensorFlow Datasets must be able to write to its folder. "
            f"Received: {str(builder.data_dir)!r}: {error}. Choose another --data_dir."
        ) from error
    encoded: list[bytes] = []
    labels: list[int] = []
    decoders = {"image": tfds.decode.SkipDecoding()}
    for split in ("train", "test"):
        for example in tfds.as_numpy(builder.as_dataset(split, decoders=decoders)):
            encoded.append(example["image"])
            labels.append(int(example["label"]))
    return encoded, labels


def _handwriting() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Two halves without a common drawing; of each, `[n, 8, 8]` in 0 to 1 by digit."""
    digits = sklearn.datasets.load_digits()
    images = digits.images / 16
    halves: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    rng = np.random.default_rng(_SEED)
    for digit in range(10):
        drawings = rng.permutation(images[digits.target == digit])
        middle = len(drawings) // 2
        halves[0].append(drawings[:middle])
        halves[1].append(drawings[middle:])
    return halves


def _generate(
    numbers: range, handwriting: list[np.ndarray]
) -> Iterator[tuple[int, dict[str, Any]]]:
    for number in numbers:
        for copy in range(IMAGES_PER_CLASS):
            rng = np.random.default_rng([_SEED, number, copy])
            image = compose(number, handwriting, rng)
            key = number * IMAGES_PER_CLASS + copy
            yield key, {"image": image[:, :, np.newaxis], "label": number}


def compose(
    number: int, handwriting: list[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """One image of a two-digit number.

    Args:
      number: 0 to 99.
      handwriting: `[n, 8, 8]` drawings in 0 to 1, for each of the ten digits.
      rng: Chooses drawings, place, size, slant and clutter.

    Returns:
      uint8 `[48, 48]`, bright ink on a dark ground.
    """
    canvas = _ground(rng)
    _add_clutter(canvas, handwriting, rng)
    size = rng.uniform(15, 21)
    slant = rng.uniform(-0.25, 0.25)
    top = rng.uniform(3, SIDE - 3 - size)
    left = rng.uniform(2, SIDE - 2 - 1.9 * size)
    for place, digit in enumerate(divmod(number, 10)):
        drawing = handwriting[digit][rng.integers(len(handwriting[digit]))]
        corner = (top + rng.uniform(-1, 1), left + place * 0.9 * size)
        ink = _paint(drawing, corner, size, slant + rng.uniform(-0.1, 0.1))
        np.maximum(canvas, ink * rng.uniform(0.75, 1.0), out=canvas)
    noisy = canvas + rng.normal(0, 0.02, canvas.shape)
    return np.rint(255 * noisy.clip(0, 1)).astype(np.uint8)


def _ground(rng: np.random.Generator) -> np.ndarray:
    """A dark plane that grows brighter in some direction."""
    down, right = np.meshgrid(*[np.linspace(-1, 1, SIDE)] * 2, indexing="ij")
    slope = rng.uniform(-0.05, 0.05, 2)
    return rng.uniform(0.1, 0.2) + slope[0] * down + slope[1] * right


def _add_clutter(
    canvas: np.ndarray, handwriting: list[np.ndarray], rng: np.random.Generator
) -> None:
    """Pieces of other drawings, 4 x 4 of their 8 x 8 pixels, too small to be read."""
    for _ in range(rng.integers(2, 6)):
        drawings = handwriting[rng.integers(10)]
        row, column = rng.integers(0, 5, 2)
        piece = drawings[rng.integers(len(drawings))][
            row : row + 4, column : column + 4
        ]
        corner = tuple(rng.uniform(-3, SIDE - 4, 2))
        ink = _paint(piece, corner, rng.uniform(5, 10), rng.uniform(-0.6, 0.6))
        np.maximum(canvas, ink * rng.uniform(0.3, 0.8), out=canvas)


def _paint(
    drawing: np.ndarray, corner: tuple[float, float], size: float, slant: float
) -> np.ndarray:
    """A drawing on an empty canvas, `size` pixels high, sheared by `slant`."""
    scale = len(drawing) / size
    # Canvas to drawing: (row, column) -> matrix @ (row, column) + offset.
    matrix = scale * np.array([[1.0, 0.0], [slant, 1.0]])
    middle = np.array([corner[0] + size / 2, corner[1] + size / 2])
    offset = (len(drawing) - 1) / 2 - matrix @ middle
    return scipy.ndimage.affine_transform(
        drawing, matrix, offset, (SIDE, SIDE), order=1, mode="constant"
    )
