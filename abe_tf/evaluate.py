"""Prints the paper's table for a run and writes it to WORKDIR/results.json.

python -m abe_tf.evaluate --workdir=runs/digits_abe4
"""

from __future__ import annotations

import json

from abe_tf import runs
from abe_tf.config import command
from abe_tf.config.evaluation import (
    CheckpointConfig,
    EvaluationConfig,
    RunConfig,
    SplitConfig,
)


def main(
    run: RunConfig,
    checkpoint: CheckpointConfig,
    split: SplitConfig,
    evaluation: EvaluationConfig,
) -> None:
    """Embeds the images of a split and measures recall."""
    folder = runs.RunFolder(run.require())
    data = split.moved(folder.read_flags()[1])
    data.check_paths()
    # From here on TensorFlow is needed, which takes seconds to import.
    from abe_tf.data import datasets
    from abe_tf.data.pipeline import evaluation_batches, unreadable_images_named
    from abe_tf.errors import InputError
    from abe_tf.retrieval import table
    from abe_tf.retrieval.embedding import Embedder
    from abe_tf.retrieval.recall import measure_recall

    model = runs.load(folder.path, checkpoint.checkpoint)
    examples = getattr(datasets.load(data), split.split)
    if not len(examples):
        raise InputError(
            f"--split={split.split} needs images. Received: a run that held none out."
        )
    batches = evaluation_batches(
        examples, model.preprocessing, evaluation.eval_batch_size
    )
    with unreadable_images_named(examples, model.preprocessing):
        embeddings = Embedder(model.network)(batches)
    recall = measure_recall(
        embeddings, examples.labels, evaluation.recall_at, evaluation.block
    )
    print(
        f"{folder.path}, {model.checkpoint}: {data.dataset}, {split.split} classes, "
        f"{recall.num_queries} queries among each other"
    )
    print(table.as_text(recall))
    result = {
        **table.as_json(recall, data.dataset),
        "split": split.split,
        "checkpoint": model.checkpoint,
    }
    runs.write_atomically(folder.results, json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    command.run(main, RunConfig, CheckpointConfig, SplitConfig, EvaluationConfig)
