"""`abe_stanford_online_products`: from the zip file that people have.

TensorFlow Datasets' own `stanford_online_products` fetches it by FTP, from the only
address there is.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from abe_tf.data.builders import archives, common
from abe_tf.errors import InputError

CLASSES = 22634

_CITATION = """
@inproceedings{song2016deep,
  author = {Oh Song, Hyun and Xiang, Yu and Jegelka, Stefanie and Savarese, Silvio},
  title = {Deep Metric Learning via Lifted Structured Feature Embedding},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
  year = {2016},
}
"""
_ROOT = "Stanford_Online_Products"
_LISTS = {"train": "Ebay_train.txt", "test": "Ebay_test.txt"}


class AbeStanfordOnlineProducts(tfds.core.GeneratorBasedBuilder):
    """Photos of 22,634 products, 2 to 12 of each, half of the products train."""

    name = "abe_stanford_online_products"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"{_ROOT}.zip, or the folder {_ROOT}."

    def _info(self) -> tfds.core.DatasetInfo:
        return common.info(
            self,
            "Photos of products of an online market; 11,318 train, 11,316 others test.",
            "https://cvgl.stanford.edu/projects/lifted_struct/",
            _CITATION,
            CLASSES,
            with_box=False,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        folder = pathlib.Path(dl_manager.manual_dir)
        source = archives.require(folder, "the photos", _ROOT)
        lists = _read_lists(source)

        def split(name: str) -> Iterator[common.Example]:
            contents = archives.images([source], set(lists[name]), 2, _LISTS[name])
            return common.examples(contents, lists[name])

        return {name: split(name) for name in _LISTS}

    def _generate_examples(self, **kwargs: Any) -> Iterator:
        raise NotImplementedError("_split_generators gives the generators themselves")


def _read_lists(source: pathlib.Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Annotations by split and by the last two parts of the image's path."""
    names = {name: split for split, name in _LISTS.items()}
    lists: dict[str, dict[str, dict[str, Any]]] = {}
    seen: set[str] = set()
    for path, read in archives.members(source):
        split = names.get(path.split("/")[-1])
        if split is not None:
            lists[split] = _read_list(read(), path, seen)
    missing = [name for split, name in _LISTS.items() if split not in lists]
    if missing:
        raise InputError(
            f"The archive must hold {', '.join(_LISTS.values())}. "
            f"Received: {str(source)!r} without {', '.join(missing)}."
        )
    return lists


def _read_list(content: bytes, path: str, seen: set[str]) -> dict[str, dict[str, Any]]:
    images: dict[str, dict[str, Any]] = {}
    lines = content.decode("utf-8", "replace").rstrip().split("\n")
    # image_id class_id super_class_id path
    for number, line in enumerate(lines[1:], 2):
        where = f"{path}, line {number}: {line!r}"
        parts = line.split()
        if len(parts) != 4 or not parts[1].isdigit():
            raise InputError(
                f"A line must be image, class, super class and path. Received: {where}."
            )
        if not 1 <= int(parts[1]) <= CLASSES:
            raise InputError(f"A class must be 1 to {CLASSES}. Received: {where}.")
        name = "/".join(parts[3].split("/")[-2:])
        if name in seen:
            raise InputError(f"Each image must be listed once. Received: {where}.")
        seen.add(name)
        images[name] = {"label": int(parts[1]) - 1}
    return images
