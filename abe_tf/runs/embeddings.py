"""The embeddings of a run's images, for evaluation and report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abe_tf.config.data import DataConfig
from abe_tf.data import datasets
from abe_tf.data.examples import Examples, Splits
from abe_tf.data.pipeline import Loader
from abe_tf.errors import InputError
from abe_tf.retrieval.archive import Archive
from abe_tf.retrieval.embedded import Embedded
from abe_tf.retrieval.embedding import Embedder
from abe_tf.runs.folder import RunFolder
from abe_tf.runs.held_out import HeldOut

if TYPE_CHECKING:
    from abe_tf.runs.trained import TrainedModel


def images(folder: RunFolder, data: DataConfig, split: str) -> Splits:
    """The images of a run, with those of the wanted split known to exist.

    Raises:
      InputError: They are not those of the run, or the split has none.
    """
    splits = datasets.load(data)
    folder.check_classes(splits.train.class_names)
    splits = HeldOut(folder.path, data.data_dir).keep(splits)
    if not len(getattr(splits, split)):
        raise InputError(
            f"--split={split} needs images. Received: a run that held none out, or "
            "of whose images none is left."
        )
    return splits


def embed(model: TrainedModel, splits: Splits, split: str, batch_size: int) -> Archive:
    """Embeds the images of a split, and the gallery if it has one.

    Args:
      model: The network.
      splits: The images.
      split: "test", "validation" or "train".
      batch_size: Images that a replica embeds at once.

    Raises:
      InputError: An image cannot be read, or an embedding is not finite.
    """
    embedder = Embedder(model.network)

    def side(examples: Examples) -> Embedded:
        embeddings = embedder(Loader(examples, model.preprocessing), batch_size)
        labels, names = examples.labels, examples.names
        return Embedded(embeddings, labels, names, examples.cameras)

    examples = getattr(splits, split)
    gallery = splits.gallery if split == "test" else None
    about = {
        "dataset": model.data.dataset,
        "split": split,
        "checkpoint": model.checkpoint,
        "fingerprint": model.fingerprint(),
    }
    if split == "test" and splits.known_classes:
        about["known_classes"] = "held-out photos of known classes" + (
            "" if gallery is None else ", among those that trained"
        )
    if split == "test" and splits.test_domains:
        about["known_classes"] = (
            f"photos of {', '.join(splits.test_domains)}, where none trained"
        )
    return Archive(
        side(examples),
        None if gallery is None else side(gallery),
        examples.class_names,
        about,
    )
