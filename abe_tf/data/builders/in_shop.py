"""`abe_in_shop`: DeepFashion's In-shop Clothes Retrieval, with query and gallery."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from abe_tf.data.builders import archives, common
from abe_tf.errors import InputError

CLASSES = 7982
SPLITS = ("train", "query", "gallery")

_CITATION = """
@inproceedings{liu2016deepfashion,
  author = {Liu, Ziwei and Luo, Ping and Qiu, Shi and Wang, Xiaogang and Tang, Xiaoou},
  title = {{DeepFashion}: Powering Robust Clothes Recognition and Retrieval with Rich
           Annotations},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
  year = {2016},
}
"""
_INSTRUCTIONS = """
list_eval_partition.txt, and img.zip or the folder img; for --cropped also
list_bbox_inshop.txt; either directly or in the folders Eval, Anno and Img as they come.
"""
# Both lists open with the number of lines and the names of the columns.
_HEADER_LINES = 2


class AbeInShop(tfds.core.GeneratorBasedBuilder):
    """Photos of clothes, each item photographed from several sides."""

    name = "abe_in_shop"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = _INSTRUCTIONS

    def _info(self) -> tfds.core.DatasetInfo:
        return common.info(
            self,
            "Clothes of a shop: 3,997 items train; of 3,985 others queries look for "
            "their item in a gallery.",
            "https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html",
            _CITATION,
            CLASSES,
            with_box=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        folder = pathlib.Path(dl_manager.manual_dir)
        lists = ("list_eval_partition.txt", "Eval/list_eval_partition.txt")
        partition = archives.require(folder, lists[0], *lists)
        boxes = archives.find(
            folder, "list_bbox_inshop.txt", "Anno/list_bbox_inshop.txt"
        )
        source = archives.require(folder, "the photos", "img", "Img/img")
        splits = _read_partition(partition)
        if boxes is not None:
            _add_boxes(splits, _read_boxes(boxes), boxes)

        def split(name: str) -> Iterator[common.Example]:
            # WOMEN/Dresses/id_00000002/02_1_front.jpg: four parts tell an image.
            contents = archives.images([source], set(splits[name]), 4, str(partition))
            return common.examples(contents, splits[name])

        return {name: split(name) for name in SPLITS}

    def _generate_examples(self, **kwargs: Any) -> Iterator:
        raise NotImplementedError("_split_generators gives the generators themselves")


def _key(path: str) -> str:
    return "/".join(path.split("/")[-4:])


def _read_boxes(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Boxes by the last four parts of the image's path."""
    boxes: dict[str, np.ndarray] = {}
    for number, line in enumerate(archives.text_lines(path)[_HEADER_LINES:], 3):
        name, *numbers = line.split()
        try:
            _, _, left, top, right, bottom = (int(value) for value in numbers)
        except ValueError as error:
            raise InputError(
                "A line must be image, clothes type, pose type and four numbers. "
                f"Received: {str(path)!r}, line {number}: {line!r}."
            ) from error
        boxes[_key(name)] = np.array([left, top, right, bottom], np.float32)
    return boxes


def _read_partition(path: pathlib.Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Annotations by split and image; labels count the items in sorted order.

    Boxes are of no numbers.
    """
    rows: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(archives.text_lines(path)[_HEADER_LINES:], 3):
        parts = line.split()
        if len(parts) != 3 or parts[2] not in SPLITS:
            raise InputError(
                f"A line must be image, item and one of {', '.join(SPLITS)}. "
                f"Received: {str(path)!r}, line {number}: {line!r}."
            )
        if _key(parts[0]) in rows:
            raise InputError(
                "Each image must be listed once. "
                f"Received: {str(path)!r}, line {number}: {parts[0]!r} again."
            )
        rows[_key(parts[0])] = (parts[1], parts[2])
    items = sorted({item for item, _ in rows.values()})
    if len(items) > CLASSES:
        raise InputError(
            f"There must be {CLASSES} items at most. "
            f"Received: {len(items)} in {str(path)!r}."
        )
    labels = {item: label for label, item in enumerate(items)}
    splits: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in SPLITS}
    for name, (item, split) in rows.items():
        box = np.full(4, np.nan, np.float32)
        splits[split][name] = {"label": labels[item], "box": box}
    return splits


def _add_boxes(
    splits: dict[str, dict[str, dict[str, Any]]],
    boxes: dict[str, np.ndarray],
    path: pathlib.Path,
) -> None:
    for annotated in splits.values():
        for name, annotation in annotated.items():
            if name not in boxes:
                raise InputError(
                    "Each image must have a box. "
                    f"Received: {str(path)!r} without {name!r}."
                )
            annotation["box"] = boxes[name]
