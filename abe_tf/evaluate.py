"""Prints the paper's table for a run and writes it to WORKDIR/results.json.

python -m abe_tf.evaluate --workdir=runs/digits_abe4
python -m abe_tf.evaluate --embeddings=FILE.npz
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from abe_tf.config import cluster, command
from abe_tf.config.data import DataConfig
from abe_tf.config.evaluation import (
    CheckpointConfig,
    EmbeddingsConfig,
    EvaluationConfig,
    RunConfig,
    SplitConfig,
)
from abe_tf.config.training import DistributionConfig
from abe_tf.errors import InputError
from abe_tf.runs import measurements
from abe_tf.runs.folder import RunFolder
from abe_tf.storage.files import write_atomically

if TYPE_CHECKING:
    from abe_tf.reports.measuring import Measured, Measuring
    from abe_tf.retrieval.archive import Archive
    from abe_tf.runs.trained import TrainedModel


def main(
    run: RunConfig,
    checkpoint: CheckpointConfig,
    split: SplitConfig,
    evaluation: EvaluationConfig,
    embeddings: EmbeddingsConfig,
    distribution: DistributionConfig,
) -> None:
    """Measures the embeddings of a run's split, or of a file."""
    embeddings.check_paths()
    if embeddings.embeddings:
        _evaluate_file(embeddings.embeddings, run, evaluation, embeddings.clustering)
        return
    folder = RunFolder(run.require())
    folder.check_writable()
    data = split.moved(folder.flags().data)
    folder.with_checkpoints(checkpoint.checkpoint)
    data.check_paths()
    # From here on TensorFlow is needed, which takes seconds to import.
    from abe_tf.reports import text
    from abe_tf.reports.measuring import Measuring
    from abe_tf.retrieval import archive
    from abe_tf.training import strategies

    strategy = strategies.create(distribution.strategy)
    measuring = Measuring(folder, split, evaluation)

    def load(which: str) -> TrainedModel:
        with strategy.scope():
            return measuring.load(which)

    model = load(checkpoint.checkpoint)
    # By all processes that share the images.
    embedded, trained = measuring.embed(model), measuring.embed_trained(model)
    other = None
    if embeddings.compare_checkpoints:
        other = folder.other_checkpoint(checkpoint.checkpoint)
    also = measuring.embed(load(other)) if other else None
    if not cluster.from_environment().is_chief:
        return
    if embeddings.save_embeddings:
        archive.save(embeddings.save_embeddings, embedded)
    measured = measuring.measure(embedded, embeddings.clustering)
    _show(folder.path, measured)
    in_short = _in_short(measuring, other, also) if other and also else {}
    result = measured.as_json()
    measurements.add(folder.results, {_key(result): result}, in_short)
    if trained is not None:
        fitted = measuring.calibrate(embedded, trained, checkpoint.checkpoint)
        print(text.calibration_as_text(fitted))
    # Last: where the disk is full, the figures are written.
    if embeddings.keep_embeddings:
        measuring.keep(measured)


def _in_short(measuring: Measuring, which: str, embedded: Archive) -> dict[str, Any]:
    """Recall of the other of the best and the last checkpoint, printed too."""
    recall = measuring.recall(embedded)
    short = {**recall.as_json(embedded.about["dataset"]), **embedded.about}
    print(f"{which}, {short['checkpoint']}: Recall@K {short['ensemble']}")
    return {_key(short): short}


def _evaluate_file(
    path: str, run: RunConfig, options: EvaluationConfig, clustering: bool
) -> None:
    if run.workdir:
        raise InputError(
            "--embeddings is measured instead of a run. Received: "
            f"--workdir={run.workdir} too. Leave one out."
        )
    from abe_tf.reports.measuring import Measured
    from abe_tf.retrieval import archive, evaluation

    embedded = archive.load(path)
    known = DataConfig(dataset=embedded.about.get("dataset", "image_folder"))
    measurements = evaluation.evaluate(
        embedded, options.ks(known), options.block, clustering
    )
    measured = Measured(embedded, measurements)
    _show(path, measured)
    write_atomically(f"{path}.json", json.dumps(measured.as_json(), indent=2) + "\n")
    print(f"results: {path}.json")


def _show(source: str, measured: Measured) -> None:
    """Prints what was measured of a run or a file."""
    from abe_tf.reports import text

    about, recall = measured.archive.about, measured.evaluation.recall
    where = f"{source}, {about['checkpoint']}" if "checkpoint" in about else source
    print(f"{where}: {text.what_was_measured(measured.archive, recall)}")
    print(text.as_text(recall))
    weights = text.weights_as_text(measured.archive.queries)
    if weights:
        print(weights)
    print(text.measures_as_text(measured.evaluation))


def _key(result: dict[str, Any]) -> str:
    return measurements.key(result["split"], result["checkpoint"])


if __name__ == "__main__":
    command.run(
        main,
        *(RunConfig, CheckpointConfig, SplitConfig, EvaluationConfig),
        *(EmbeddingsConfig, DistributionConfig),
    )
