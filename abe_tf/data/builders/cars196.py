"""`abe_cars196`: Cars-196 from either of the layouts that people have.

TensorFlow Datasets' own `cars196` cannot be downloaded any more. Split as the paper
does: classes 1 to 98 train, 99 to 196 test.
"""

from __future__ import annotations

import io
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.io
import tensorflow_datasets as tfds

from abe_tf.data.builders import archives, common
from abe_tf.errors import InputError

CLASSES, TRAIN_CLASSES = 196, 98

_CITATION = """
@inproceedings{krause2013object,
  author = {Krause, Jonathan and Stark, Michael and Deng, Jia and Fei-Fei, Li},
  title = {3{D} Object Representations for Fine-Grained Categorization},
  booktitle = {IEEE Workshop on 3D Representation and Recognition},
  year = {2013},
}
"""
_INSTRUCTIONS = """
Either car_ims.tgz and cars_annos.mat; or cars_train.tgz, cars_test.tgz, car_devkit.tgz
and cars_test_annos_withlabels.mat. Archives or unpacked.
"""
_BOX = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
_TRAIN_ANNOTATIONS = "cars_train_annos.mat"
_TEST_ANNOTATIONS = "cars_test_annos_withlabels.mat"


class AbeCars196(tfds.core.GeneratorBasedBuilder):
    """Photos of 196 models of cars, with bounding boxes."""

    name = "abe_cars196"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = _INSTRUCTIONS

    def _info(self) -> tfds.core.DatasetInfo:
        return common.info(
            self,
            "Photos of 196 models of cars; 98 train and 98 others test.",
            "http://ai.stanford.edu/~jkrause/cars/car_dataset.html",
            _CITATION,
            CLASSES,
            with_box=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        folder = pathlib.Path(dl_manager.manual_dir)
        sources, annotations, listed_in = _find(folder)

        def split(first: int, end: int) -> Iterator[common.Example]:
            chosen = {k: a for k, a in annotations.items() if first <= a["label"] < end}
            contents = archives.images(sources, set(chosen), 2, listed_in)
            return common.examples(contents, chosen)

        return {
            "train": split(0, TRAIN_CLASSES),
            "test": split(TRAIN_CLASSES, CLASSES),
        }

    def _generate_examples(self, **kwargs: Any) -> Iterator:
        raise NotImplementedError("_split_generators gives the generators themselves")


def _find(
    folder: pathlib.Path,
) -> tuple[list[pathlib.Path], dict[str, dict[str, Any]], str]:
    """Image archives, annotations by the last two parts of the path, and their file."""
    one = archives.find(folder, "cars_annos.mat")
    if one is not None:
        images = archives.require(folder, "the photos of Cars-196", "car_ims")
        annotations = _read(one.read_bytes(), str(one), "relative_im_path", "")
        return [images], annotations, str(one)
    sources = [
        archives.require(folder, f"the photos of Cars-196 ({_INSTRUCTIONS})", name)
        for name in ("cars_train", "cars_test")
    ]
    annotations = {
        **_read(*_devkit_file(folder, _TRAIN_ANNOTATIONS), "fname", "cars_train/"),
        **_read(*_devkit_file(folder, _TEST_ANNOTATIONS), "fname", "cars_test/"),
    }
    return sources, annotations, f"{_TRAIN_ANNOTATIONS}, {_TEST_ANNOTATIONS}"


def _devkit_file(folder: pathlib.Path, name: str) -> tuple[bytes, str]:
    path = archives.find(folder, name, f"devkit/{name}", f"car_devkit/devkit/{name}")
    if path is not None:
        return path.read_bytes(), str(path)
    devkit = archives.require(folder, f"{name} or the devkit", name, "car_devkit")
    for member, read in archives.members(devkit):
        if os.path.basename(member) == name:
            return read(), f"{devkit}/{member}"
    raise InputError(
        f"--manual_dir must hold {name}. Received: {str(folder)!r} without it, and "
        f"{devkit.name} without it."
    )


def _read(
    content: bytes, path: str, name_field: str, prefix: str
) -> dict[str, dict[str, Any]]:
    """Label from 0 and box, by the last two parts of the image's path."""
    try:
        table = scipy.io.loadmat(io.BytesIO(content), squeeze_me=True)["annotations"]
        rows = [
            (str(row[name_field]), int(row["class"]), [float(row[b]) for b in _BOX])
            for row in np.atleast_1d(table)
        ]
    except Exception as error:  # scipy raises nearly anything for a damaged file
        raise InputError(
            f"Annotations must be Cars-196's, with {name_field}, class and boxes. "
            f"Received: {path!r}: {type(error).__name__}: {error}."
        ) from error
    images: dict[str, dict[str, Any]] = {}
    for file_name, number, (left, top, right, bottom) in rows:
        if not 1 <= number <= CLASSES:
            raise InputError(
                f"A class must be 1 to {CLASSES}. "
                f"Received: {number} for {file_name!r} in {path!r}."
            )
        name = prefix + "/".join(file_name.split("/")[-2 if not prefix else -1 :])
        if name in images:
            raise InputError(
                f"Annotations must list each image once. "
                f"Received: {file_name!r} twice in {path!r}."
            )
        # Pixels are counted from 1 and the last ones belong to the box.
        box = np.array([left - 1, top - 1, right, bottom], np.float32)
        images[name] = {"label": number - 1, "box": box}
    return images
