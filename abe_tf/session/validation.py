"""What training shows of the network as it is, handed to the trainer as a callback."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from abe_tf.config.evaluation import EvaluationConfig
from abe_tf.data.examples import Examples
from abe_tf.data.pipeline import Loader, cached_loader
from abe_tf.data.pixels.preprocessing import Preprocessing
from abe_tf.figures import probes, projector
from abe_tf.retrieval import calibration, spectrum
from abe_tf.retrieval.correlation import error_correlation, mean_over_pairs
from abe_tf.retrieval.embedded import Embedded
from abe_tf.retrieval.embedding import Embedder, Interrupted
from abe_tf.retrieval.matrix import DistanceMatrix
from abe_tf.retrieval.nearest import nearest_images
from abe_tf.retrieval.ranks import nearest_positive_ranks
from abe_tf.retrieval.recall import recall_of
from abe_tf.retrieval.similarity import similarities
from abe_tf.training.callbacks import Measured

RECALL_TAG = "validation/recall@1"
# Images that histograms and the projector show.
_SHOWN, _SHOWN_OF_TRAINING = 1000, 256


class Validation:
    """Recall and similarities on held-out classes.

    Without held-out classes it looks at some training images, and measures no recall.

    Args:
      network: The network, as it trains.
      validation: Images of the held-out classes; may be none.
      train: Training images.
      preprocessing: The evaluation's.
      evaluation: Batch size and block.
      ks: The K of Recall@K.
      cache: `--cache`.
      pictures: Whether images are drawn.
      projector_dir: Where the projector's files go at the end; `None` writes nothing.
    """

    def __init__(
        self,
        network: tf.keras.Model,
        validation: Examples,
        train: Examples,
        preprocessing: Preprocessing,
        evaluation: EvaluationConfig,
        ks: tuple[int, ...],
        cache: str,
        pictures: bool,
        projector_dir: str | None,
    ) -> None:
        self._held_out = len(validation) > 0
        examples = validation if self._held_out else train.evenly(_SHOWN_OF_TRAINING)
        self._loader = cached_loader(examples, preprocessing, cache)
        # What is not of their kinds tells how sure a distance makes.
        self._trained = None
        if self._held_out:
            others = train.evenly(calibration.TRAINED)
            self._trained = cached_loader(others, preprocessing, cache)
        self._embedder = Embedder(network)
        self._evaluation, self._projector_dir = evaluation, projector_dir
        # The best checkpoint is chosen by Recall@1.
        self._ks = tuple(sorted({1, *ks}))
        self._embedded: Embedded | None = None
        # By every worker, as all that is built in a strategy's scope.
        self._masks, self._pictures = probes.Masks(network, self._loader), pictures

    def __call__(self, interrupted: Callable[[], bool]) -> Measured | None:
        """Measures; `None` where `interrupted` became true meanwhile."""
        try:
            embedded = self._embedded_by(self._loader, interrupted)
            trained = None
            if self._trained is not None:
                trained = self._embedded_by(self._trained, interrupted)
        except Interrupted:
            return None
        self._embedded = embedded
        scalars, files = {}, {}
        if self._held_out:
            block = self._evaluation.block
            scalars = _scalars(embedded, self._ks, block)
            fitted = calibration.calibrate(embedded, trained, split="validation")
            files = {calibration.FILE: fitted.text()} if fitted else {}
        shown = _evenly(len(embedded.labels), _SHOWN)
        kinds = similarities(embedded.learner_embeddings[shown], embedded.labels[shown])
        split = "validation" if self._held_out else "train"
        if self._projector_dir is not None:
            for number, share in enumerate(self._masks.open_shares(), 1):
                scalars[f"{split}/masks/open/learner_{number}"] = share
        histograms = {f"{split}/similarity/{kind}": v for kind, v in kinds.items()}
        images = {f"{split}/{name}": png for name, png in self._draw(embedded).items()}
        return Measured(scalars, histograms, images, files)

    def _embedded_by(self, loader: Loader, interrupted: Callable[[], bool]) -> Embedded:
        size = self._evaluation.eval_batch_size
        embeddings = self._embedder(loader, size, interrupted)
        return Embedded(embeddings, loader.examples.labels)

    def _draw(self, embedded: Embedded) -> dict[str, bytes]:
        """Pictures of images that stay the same, by name."""
        if self._projector_dir is None or not self._pictures:
            # Whoever writes nothing draws nothing.
            return {}
        images = {f"masks/{name}": png for name, png in self._masks.draw().items()}
        if len(embedded) > 1:
            chosen = probes.positions(self._loader.examples)
            nearest = nearest_images(
                DistanceMatrix.of(embedded.where(chosen), embedded),
                probes.NEIGHBOURS + 1,
            )
            # The query itself is in the gallery too.
            others = [
                places[places != q] for places, q in zip(nearest, chosen, strict=True)
            ]
            fewest = min(map(len, others))
            shown = np.stack([places[:fewest] for places in others])
            images["nearest"] = probes.draw_neighbours(
                self._loader, chosen, self._loader, shown[:, : probes.NEIGHBOURS]
            )
        return images

    def at_end(self) -> None:
        """Writes the projector's files for what was measured last."""
        if self._projector_dir is None or self._embedded is None or not self._pictures:
            return
        examples = self._loader.examples
        shown = _evenly(len(examples), _SHOWN)
        pixels = self._loader.pixels(shown)
        embeddings = self._embedded.learner_embeddings[shown]
        classes = [examples.class_names[examples.labels[i]] for i in shown]
        names = [str(examples.names[i]) for i in shown]
        projector.write(self._projector_dir, embeddings, classes, names, pixels)


def _scalars(embedded: Embedded, ks: tuple[int, ...], block: int) -> dict[str, float]:
    ranks = nearest_positive_ranks(DistanceMatrix.of(embedded), block)
    recall = recall_of(ranks, embedded, ks, len(embedded))
    spread = spectrum.effective_ranks(embedded.learner_embeddings)
    together = mean_over_pairs(error_correlation(ranks[:-2]))
    correlated = {} if together is None else {"validation/error_correlation": together}
    return {
        **{f"validation/recall@{k}": value for k, value in recall.ensemble.items()},
        "validation/individual_recall@1": recall.individual_mean()[1],
        "validation/recall@1/concatenated": recall.concatenated[1],
        **{
            f"validation/recall@1/learner_{number}": learner[1]
            for number, learner in enumerate(recall.by_learner, 1)
        },
        **correlated,
        "validation/effective_rank/concatenated": spread["concatenated"],
        **{
            f"validation/effective_rank/learner_{number}": rank
            for number, rank in enumerate(spread["learners"], 1)
        },
    }


def _evenly(count: int, most: int) -> np.ndarray:
    """Positions of at most so many of `count` things, evenly spaced."""
    return np.arange(0, count, -(-count // most) if count else 1)
