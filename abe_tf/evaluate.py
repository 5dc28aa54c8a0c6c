"""Prints the paper's table for a run and writes it to WORKDIR/results.json.

python -m abe_tf.evaluate --workdir=runs/digits_abe4
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from abe_tf import runs
from abe_tf.config import cluster, command
from abe_tf.config.data import DataConfig
from abe_tf.config.evaluation import (
    CheckpointConfig,
    EvaluationConfig,
    RunConfig,
    SplitConfig,
)
from abe_tf.config.training import DistributionConfig
from abe_tf.run_folder import RunFolder, write_atomically

if TYPE_CHECKING:
    from abe_tf.data.examples import Examples
    from abe_tf.retrieval.recall import Recall
    from abe_tf.runs import TrainedModel


def main(
    run: RunConfig,
    checkpoint: CheckpointConfig,
    split: SplitConfig,
    evaluation: EvaluationConfig,
    distribution: DistributionConfig,
) -> None:
    """Embeds the images of a split and measures recall."""
    folder = RunFolder(run.require())
    folder.check_writable()
    data = split.moved(folder.read_flags()[1])
    data.check_paths()
    # From here on TensorFlow is needed, which takes seconds to import.
    from abe_tf.data import datasets
    from abe_tf.errors import InputError
    from abe_tf.retrieval import table
    from abe_tf.training import strategies

    with strategies.create(distribution.strategy).scope():
        model = runs.load(folder.path, checkpoint.checkpoint)
    splits = datasets.load(data)
    folder.check_classes(splits.train.class_names)
    examples = getattr(splits, split.split)
    if not len(examples):
        raise InputError(
            f"--split={split.split} needs images. Received: a run that held none out."
        )
    gallery = splits.gallery if split.split == "test" else None
    recall = _measure(model, examples, gallery, data, evaluation)
    among = "among each other"
    if gallery is not None:
        among = f"in a gallery of {recall.num_gallery}"
    if not cluster.from_environment().is_chief:
        return
    print(
        f"{folder.path}, {model.checkpoint}: {data.dataset}, {split.split} classes, "
        f"{recall.num_queries} queries {among}"
    )
    print(table.as_text(recall))
    result = {
        **table.as_json(recall, data.dataset),
        "split": split.split,
        "checkpoint": model.checkpoint,
    }
    write_atomically(folder.results, json.dumps(result, indent=2) + "\n")


def _measure(
    model: TrainedModel,
    examples: Examples,
    gallery: Examples | None,
    data: DataConfig,
    evaluation: EvaluationConfig,
) -> Recall:
    """Recall of some images among each other, or in a gallery."""
    from abe_tf.data.pipeline import Loader
    from abe_tf.retrieval.embedding import Embedder
    from abe_tf.retrieval.recall import Embedded, measure_recall

    embedder = Embedder(model.network)

    def embed(images: Examples) -> Embedded:
        loader = Loader(images, model.preprocessing)
        embeddings = embedder(loader, evaluation.eval_batch_size)
        return Embedded(embeddings, images.labels)

    return measure_recall(
        embed(examples),
        evaluation.ks(data),
        evaluation.block,
        None if gallery is None else embed(gallery),
    )


if __name__ == "__main__":
    command.run(
        main,
        *(RunConfig, CheckpointConfig, SplitConfig),
        *(EvaluationConfig, DistributionConfig),
    )
