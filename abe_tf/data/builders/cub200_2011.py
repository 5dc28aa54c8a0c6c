"""`abe_cub200_2011`: Caltech-UCSD Birds 200-2011, packed or unpacked.

TensorFlow Datasets' own `caltech_birds2011` wants the archive of segmentations too,
which nothing here uses. Split as the paper does: classes 1 to 100 train, 101 to 200
test.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from abe_tf.data.builders import archives, common
from abe_tf.errors import InputError

CLASSES, TRAIN_CLASSES = 200, 100

_CITATION = """
@techreport{wah2011caltech,
  author = {Wah, Catherine and Branson, Steve and Welinder, Peter and Perona, Pietro and
            Belongie, Serge},
  title = {The {Caltech-UCSD} {Birds-200-2011} Dataset},
  institution = {California Institute of Technology},
  number = {CNS-TR-2011-001},
  year = {2011},
}
"""
_INSTRUCTIONS = """
CUB_200_2011.tgz, or the folder CUB_200_2011 that it unpacks to.
"""
_IMAGES, _LABELS, _BOXES = "images.txt", "image_class_labels.txt", "bounding_boxes.txt"


class AbeCub2002011(tfds.core.GeneratorBasedBuilder):
    """Photos of 200 kinds of birds, with bounding boxes."""

    name = "abe_cub200_2011"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = _INSTRUCTIONS

    def _info(self) -> tfds.core.DatasetInfo:
        return common.info(
            self,
            "Photos of 200 kinds of birds; 100 train and 100 others test.",
            "https://www.vision.caltech.edu/datasets/cub_200_2011/",
            _CITATION,
            CLASSES,
            with_box=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        folder = pathlib.Path(dl_manager.manual_dir)
        source = archives.require(folder, "the photos of CUB-200-2011", "CUB_200_2011")
        annotations = _read(source)

        def split(first: int, end: int) -> Iterator[common.Example]:
            chosen = {k: a for k, a in annotations.items() if first <= a["label"] < end}
            contents = archives.images([source], set(chosen), 2, f"{source}/{_IMAGES}")
            return common.examples(contents, chosen)

        return {
            "train": split(0, TRAIN_CLASSES),
            "test": split(TRAIN_CLASSES, CLASSES),
        }

    def _generate_examples(self, **kwargs: Any) -> Iterator:
        raise NotImplementedError("_split_generators gives the generators themselves")


def _read(source: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Label from 0 and box, by the last two parts of the image's path."""
    tables = _tables(source)
    images = {}
    for number, (path,) in tables[_IMAGES].items():
        try:
            (label,) = map(int, tables[_LABELS][number])
            left, top, width, height = map(float, tables[_BOXES][number])
        except (KeyError, ValueError) as error:
            raise InputError(
                "Each image must have a class and a box of four numbers. "
                f"Received: {str(source)!r}, image {number}: {error}."
            ) from error
        if not 1 <= label <= CLASSES:
            raise InputError(
                f"A class must be 1 to {CLASSES}. "
                f"Received: {label} for {path!r} in {str(source)!r}."
            )
        box = np.array([left, top, left + width, top + height], np.float32)
        name = "/".join(path.split("/")[-2:])
        images[name] = {"label": label - 1, "box": box}
    return images


def _tables(source: pathlib.Path) -> dict[str, dict[str, list[str]]]:
    """The lines of each list by the number that they begin with."""
    wanted, tables = {_IMAGES, _LABELS, _BOXES}, dict[str, dict[str, list[str]]]()
    for path, read in archives.members(source):
        folder, _, name = path.removeprefix("./").rpartition("/")
        # Lists of parts and attributes have folders of their own.
        if name not in wanted or "/" in folder:
            continue
        lines = read().decode("utf-8", "replace").splitlines()
        rows = [line.split() for line in lines if line.strip()]
        if not all(len(row) > 1 for row in rows):
            raise InputError(
                "Each line of a list must begin with an image's number. "
                f"Received: {str(source)!r}, {path!r}."
            )
        tables[name] = {row[0]: row[1:] for row in rows}
        if len(tables) == len(wanted):
            break
    if missing := wanted - set(tables):
        raise InputError(
            f"--manual_dir must hold the lists of CUB-200-2011. Received: "
            f"{str(source)!r} without {', '.join(sorted(missing))}."
        )
    return tables
