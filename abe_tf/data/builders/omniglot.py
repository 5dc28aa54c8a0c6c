"""`abe_omniglot`: the two small background sets of Omniglot.

The first trains. Of the second only those alphabets test that are not in the first.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from abe_tf.data.builders import archives, common
from abe_tf.errors import InputError

CLASSES = 242

_CITATION = """
@article{lake2015human,
  author = {Lake, Brenden M. and Salakhutdinov, Ruslan and Tenenbaum, Joshua B.},
  title = {Human-level concept learning through probabilistic program induction},
  journal = {Science},
  volume = {350},
  number = {6266},
  year = {2015},
}
"""
_ARCHIVES = {"train": "images_background_small1", "test": "images_background_small2"}


class AbeOmniglot(tfds.core.GeneratorBasedBuilder):
    """Handwritten characters, 20 drawings of each, of alphabets never seen before."""

    name = "abe_omniglot"
    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"{' and '.join(_ARCHIVES.values())}, zip or folder."

    def _info(self) -> tfds.core.DatasetInfo:
        return common.info(
            self,
            "Characters of five alphabets train, of three others test.",
            "https://github.com/brendenlake/omniglot",
            _CITATION,
            CLASSES,
            with_box=False,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        folder = pathlib.Path(dl_manager.manual_dir)
        sources = {
            split: archives.require(folder, "the characters", name)
            for split, name in _ARCHIVES.items()
        }
        drawings = {split: _drawings(source) for split, source in sources.items()}
        known = {name.split("/")[0] for name in drawings["train"]}
        drawings["test"] = {
            name for name in drawings["test"] if name.split("/")[0] not in known
        }
        characters = sorted({_character(n) for s in drawings.values() for n in s})
        if not 2 <= len(characters) <= CLASSES:
            raise InputError(
                f"The archives must hold 2 to {CLASSES} characters. "
                f"Received: {len(characters)}."
            )
        labels = {name: label for label, name in enumerate(characters)}

        def split(name: str) -> Iterator[common.Example]:
            annotations = {n: {"label": labels[_character(n)]} for n in drawings[name]}
            contents = archives.images(
                [sources[name]], drawings[name], 3, str(sources[name])
            )
            return common.examples(contents, annotations)

        return {name: split(name) for name in _ARCHIVES}

    def _generate_examples(self, **kwargs: Any) -> Iterator:
        raise NotImplementedError("_split_generators gives the generators themselves")


def _drawings(source: pathlib.Path) -> set[str]:
    """Alphabet/character/drawing.png of every drawing."""
    paths = (path for path, _ in archives.members(source))
    return {"/".join(p.split("/")[-3:]) for p in paths if p.endswith(".png")}


def _character(name: str) -> str:
    return name.rpartition("/")[0]
