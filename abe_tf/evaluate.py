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
from abe_tf.runs import measurements, trained
from abe_tf.runs.folder import RunFolder
from abe_tf.storage.files import write_atomically

if TYPE_CHECKING:
    from abe_tf.retrieval.archive import Archive


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
        if run.workdir:
            raise InputError(
                "--embeddings is measured instead of a run. Received: "
                f"--workdir={run.workdir} too. Leave one out."
            )
        _evaluate_file(embeddings.embeddings, evaluation, embeddings.clustering)
        return
    folder = RunFolder(run.require())
    folder.check_writable()
    data = split.moved(folder.flags().data)
    folder.with_checkpoints(checkpoint.checkpoint)
    data.check_paths()
    # From here on TensorFlow is needed, which takes seconds to import.
    from abe_tf.retrieval import archive
    from abe_tf.runs import embeddings as run_embeddings
    from abe_tf.training import strategies

    strategy = strategies.create(distribution.strategy)

    def embed(which: str) -> Archive:
        with strategy.scope():
            model = trained.load(folder.path, which, max_pixels=data.max_pixels)
        size = evaluation.eval_batch_size
        return run_embeddings.embed(model, splits, split.split, size)

    splits = run_embeddings.images(folder, data, split.split)
    embedded = embed(checkpoint.checkpoint)
    other = run_embeddings.other_checkpoint(folder, checkpoint.checkpoint)
    also = embed(other) if other else None
    if not cluster.from_environment().is_chief:
        return
    if embeddings.save_embeddings:
        archive.save(embeddings.save_embeddings, embedded)
    ks = evaluation.ks(data)
    result = _measure(
        folder.path, embedded, ks, evaluation.block, embeddings.clustering
    )
    in_short = {}
    if other and also:
        recall = _recall(also, ks, evaluation.block)
        in_short[_key(recall)] = recall
        print(f"{other}, {recall['checkpoint']}: Recall@K {recall['ensemble']}")
    measurements.add(folder.results, {_key(result): result}, in_short)


def _evaluate_file(path: str, evaluation: EvaluationConfig, clustering: bool) -> None:
    from abe_tf.retrieval import archive

    embedded = archive.load(path)
    known = DataConfig(dataset=embedded.about.get("dataset", "image_folder"))
    ks = evaluation.ks(known)
    result = _measure(path, embedded, ks, evaluation.block, clustering)
    write_atomically(f"{path}.json", json.dumps(result, indent=2) + "\n")
    print(f"results: {path}.json")


def _measure(
    source: str, embedded: Archive, ks: tuple[int, ...], block: int, clustering: bool
) -> dict[str, Any]:
    """Measures, prints, and gives what results.json holds."""
    from abe_tf.reports import text
    from abe_tf.retrieval.evaluation import evaluate

    found = evaluate(embedded, ks, block, clustering)
    among = "among each other"
    if embedded.gallery is not None:
        among = f"in a gallery of {found.recall.num_gallery}"
    about = embedded.about
    known = ", ".join(about[name] for name in ("dataset", "split") if name in about)
    of = about.get("known_classes", f"{known} classes" if known else "")
    where = f"{source}, {about['checkpoint']}" if "checkpoint" in about else source
    print(
        f"{where}: {of + ', ' if of else ''}{found.recall.num_queries} queries {among}"
    )
    print(text.as_text(found.recall))
    print(text.measures_as_text(found))
    return {**found.as_json(about.get("dataset", "unknown")), **about}


def _recall(embedded: Archive, ks: tuple[int, ...], block: int) -> dict[str, Any]:
    from abe_tf.retrieval.recall import measure_recall

    found = measure_recall(embedded.queries, ks, block, embedded.gallery)
    return {**found.as_json(embedded.about["dataset"]), **embedded.about}


def _key(result: dict[str, Any]) -> str:
    return measurements.key(result["split"], result["checkpoint"])


if __name__ == "__main__":
    command.run(
        main,
        *(RunConfig, CheckpointConfig, SplitConfig, EvaluationConfig),
        *(EmbeddingsConfig, DistributionConfig),
    )
