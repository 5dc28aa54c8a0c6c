"""What a report tells of a run: measured once, then drawn."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
import tensorflow as tf

from abe_tf.config.evaluation import CHECKPOINTS, EvaluationConfig, SplitConfig
from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ModelConfig
from abe_tf.data.photos import readable
from abe_tf.data.pipeline import Loader
from abe_tf.figures import probes
from abe_tf.figures.matches import Match
from abe_tf.models.cost import Cost, cost
from abe_tf.models.places import PlacesNetwork
from abe_tf.models.renormalized import rhos
from abe_tf.reports.measuring import Measuring
from abe_tf.retrieval import evaluation
from abe_tf.retrieval.archive import Archive
from abe_tf.retrieval.explanation import Places, explain, places_of
from abe_tf.retrieval.nearest import nearest_images
from abe_tf.retrieval.similarity import similarity_histograms
from abe_tf.runs import measurements, records
from abe_tf.runs.folder import RunFolder
from abe_tf.runs.trained import TrainedModel
from abe_tf.storage.files import read_text


@dataclasses.dataclass(frozen=True)
class RunReport:
    """One run.

    Attributes:
      name: Name of the run folder.
      paper_name: What the paper would call the model, such as ABE-4^512.
      archive: The embeddings.
      measured: All that was measured of them.
      histograms: Cosines, as returned by `similarity_histograms`.
      nearest: `[queries, neighbours]` positions in the gallery.
      cost: Cost of the network.
      masks: PNG files, as drawn by `probes.Masks`.
      open_masks: As counted by `probes.Masks`.
      matches: Some queries and their nearest images, why they match.
      queries: The images that were looked for.
      gallery: The images among which they were looked for.
      metrics: The lines of metrics.jsonl.
      record: run.json.
      flags_text: The text of the flagfile.
      settings: As returned by `RunFlags.settings`; runs of several seeds share them.
      by_checkpoint: Recall of the best and the last checkpoint, as results.json has it.
      mixtures: `[channels]` by layer, as returned by `normalization.rhos`.
    """

    name: str
    paper_name: str
    archive: Archive
    measured: evaluation.Measurements
    histograms: dict[str, np.ndarray]
    nearest: np.ndarray
    cost: Cost
    masks: dict[str, bytes]
    open_masks: list[float]
    matches: list[Match]
    queries: Loader
    gallery: Loader
    metrics: list[dict[str, Any]]
    record: dict[str, Any]
    flags_text: str
    settings: dict[str, Any]
    by_checkpoint: dict[str, Any]
    mixtures: dict[str, np.ndarray]

    def gallery_labels(self) -> np.ndarray:
        """`[gallery]` classes."""
        return np.asarray((self.archive.gallery or self.archive.queries).labels)


@dataclasses.dataclass(frozen=True)
class Told:
    """What training and evaluation wrote of a run: cheap, so it is read first.

    Attributes:
      metrics: The lines of metrics.jsonl.
      record: run.json.
      by_checkpoint: Recall of the best and the last checkpoint, as results.json has it.
    """

    metrics: list[dict[str, Any]]
    record: dict[str, Any]
    by_checkpoint: dict[str, Any]

    @classmethod
    def of(cls, folder: RunFolder, split: str) -> Told:
        """Reads it.

        Raises:
          InputError: A file is damaged.
        """
        return cls(
            records.read_metrics(folder.metrics),
            records.read_record(folder.record),
            _by_checkpoint(folder, split),
        )


def gather(
    folder: RunFolder,
    told: Told,
    checkpoint: str,
    split: SplitConfig,
    options: EvaluationConfig,
) -> RunReport:
    """Embeds and measures the images of a run.

    Raises:
      InputError: Run, images or checkpoint are not there, or an image is broken.
    """
    flags = folder.flags()
    measuring = Measuring(folder, split, options)
    model = measuring.load(checkpoint)
    measured = measuring.kept(model, more_ks=[1])
    if measured is None:
        measured = measuring.measure(measuring.embed(model), more_ks=[1])
    archive, splits = measured.archive, measuring.splits
    queries = Loader(getattr(splits, split.split), model.preprocessing)
    gallery = queries
    if archive.gallery is not None and splits.gallery is not None:
        gallery = Loader(splits.gallery, model.preprocessing)
    nearest = nearest_images(archive.matrix, probes.NEIGHBOURS, options.block)
    masks = probes.Masks(model.network, queries)
    return RunReport(
        name=readable(os.path.basename(os.path.abspath(folder.path))),
        paper_name=paper_name(flags.model, flags.loss),
        archive=archive,
        measured=measured.evaluation,
        histograms=similarity_histograms(
            archive.queries.learner_embeddings, np.asarray(archive.queries.labels)
        ),
        nearest=nearest,
        cost=cost(model.network),
        masks=masks.draw(),
        open_masks=masks.open_shares(),
        matches=_matches(model, queries, gallery, nearest),
        queries=queries,
        gallery=gallery,
        metrics=told.metrics,
        record=told.record,
        flags_text=_read(folder.flagfile),
        settings=flags.settings(),
        by_checkpoint=told.by_checkpoint,
        mixtures={name: rho.numpy() for name, rho in rhos(model.network).items()},
    )


def _matches(
    model: TrainedModel, queries: Loader, gallery: Loader, nearest: np.ndarray
) -> list[Match]:
    places = tf.function(PlacesNetwork(model.network), autograph=False)

    def seen(loader: Loader, position: int) -> Places:
        (view,) = loader.pixels(np.array([position]))
        return places_of(view, np.ones(view.shape[:2]), places)

    matches = []
    for query in probes.positions(queries.examples):
        one, other = seen(queries, query), seen(gallery, nearest[query, 0])
        title = queries.examples.class_names[queries.examples.labels[query]]
        maps = explain(one, other).maps()
        whole = tuple(one.not_split)
        matches.append(Match(title, (one.view, other.view), maps, whole))
    return matches


def _by_checkpoint(folder: RunFolder, split: str) -> dict[str, Any]:
    """What was measured of the best and of the last checkpoint, where it was."""
    results = measurements.read(folder.results)
    newest = {which: folder.newest(which) for which in CHECKPOINTS}
    return {
        which: results[measurements.key(split, name)]
        for which, name in newest.items()
        if measurements.key(split, name) in results
    }


def paper_name(model: ModelConfig, loss: LossConfig) -> str:
    """What the paper would call a model."""
    learners, dim = model.num_learners, model.embedding_dim
    if model.ensemble == "abe":
        plain = learners > 1 and not loss.lambda_div
        return f"ABE-{learners}^{dim}{' without divergence' if plain else ''}"
    if model.ensemble == "hdc":
        return f"HDC^{dim}"
    if model.ensemble == "bier":
        return f"{'A-' if loss.adversarial_weight else ''}BIER^{dim}"
    if model.ensemble == "none" or learners == 1:
        return f"1-head^{dim}"
    return f"{learners}-heads^{dim}"


def _read(path: str) -> str:
    return read_text(path) if os.path.isfile(path) else ""
