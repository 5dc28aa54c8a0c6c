"""Margin loss with distance-weighted sampling (Wu et al., ICCV 2017, equations 5 to 8).

    L = (sum over triplets of [D_ap - beta + alpha]+ + [beta - D_an + alpha]+
         + nu * sum of their betas) / number of terms that are not 0

D is the plain distance, beta is learnt: for each class of an anchor, or one for all.
For each anchor and each of its positives one negative is drawn from the anchor's row
with probability proportional to 1 / q(D), q the density of distances on the sphere:

    log w(D) = (2 - n) log D - (n - 3) / 2 log(1 - D^2 / 4)

n is the size of the learner. D is not taken below 0.5, and what is at 1.4 or beyond,
where with the first beta it costs nothing, is never drawn. An anchor that has no such
negative is left out, and counted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses.metric import LossBatch, MetricLoss, OfClasses, Sizes
from abe_tf.losses.pairwise import (
    as_distance,
    positive_pairs,
    same_class,
    squared_distances,
)

_NEAREST, _FARTHEST = 0.5, 1.4


@dataclasses.dataclass(frozen=True)
class Settings:
    """The constants of the loss.

    Attributes:
      alpha: Half the width between positives and negatives.
      beta: The border between them, at the start.
      per_class: Whether each class has a border of its own.
      nu: Weight of the borders, which keeps them small.
    """

    alpha: float = 0.2
    beta: float = 1.2
    per_class: bool = True
    nu: float = 0.0


def create(config: LossConfig, sizes: Sizes) -> MetricLoss:
    """The loss that the flags describe."""
    settings = Settings(
        config.margin_alpha,
        config.margin_beta,
        config.margin_beta_per == "class",
        config.margin_nu,
    )
    return MarginLoss(sizes, settings)


class MarginLoss(OfClasses):
    """The loss, with its borders.

    Args:
      sizes: Learners and classes of the borders; dimensions of the density.
      settings: Its constants.
    """

    # XLA would draw other negatives.
    compilable = False

    def __init__(self, sizes: Sizes, settings: Settings) -> None:
        super().__init__(sizes)
        borders = len(sizes.classes) if settings.per_class else 1
        self.beta = tf.Variable(
            tf.fill([sizes.learners, borders], settings.beta), name="borders"
        )
        self._settings, self._dims = settings, sizes.of_each

    def __call__(self, batch: LossBatch) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The loss of a global batch."""
        distances = as_distance(squared_distances(batch.embeddings), "plain")
        same = same_class(batch.labels)
        negatives, found = draw_negatives(distances, same, self._dims, batch.seed)
        # [learners, anchor, positive]
        triplets = positive_pairs(same) & found[:, :, tf.newaxis]
        to_negative = tf.gather(distances, negatives, axis=2, batch_dims=2)
        return self.of_triplets(distances, to_negative, triplets, batch.labels), {
            "margin/anchors_without_negative": 1 - _share(found),
            "margin/beta": tf.reduce_mean(self.beta),
        }

    def of_triplets(
        self,
        to_positive: tf.Tensor,
        to_negative: tf.Tensor,
        triplets: tf.Tensor,
        labels: tf.Tensor,
    ) -> tf.Tensor:
        """The loss of given triplets.

        Args:
          to_positive: `[learners, batch, batch]` plain distances of anchors (rows) and
            positives (columns).
          to_negative: Likewise, of the anchor and the negative for that positive.
          triplets: Which of these there are.
          labels: `[batch]` integer classes.

        Returns:
          `[learners]` float32.
        """
        settings = self._settings
        if settings.per_class:
            beta = tf.gather(self.beta, self.places(labels), axis=1)[:, :, tf.newaxis]
        else:
            beta = self.beta[:, :, tf.newaxis]
        alpha = settings.alpha
        near = tf.where(triplets, tf.nn.relu(to_positive - beta + alpha), 0.0)
        far = tf.where(triplets, tf.nn.relu(beta - to_negative + alpha), 0.0)
        borders = settings.nu * tf.where(triplets, beta, 0.0)
        count = tf.math.count_nonzero(tf.stack([near, far]), [0, 2, 3])
        total = tf.reduce_sum(near + far + borders, axis=[1, 2])
        return tf.math.divide_no_nan(total, tf.cast(count, tf.float32))


def log_weights(distances: tf.Tensor, dim: float | tf.Tensor) -> tf.Tensor:
    """Logarithms of w of plain distances of unit vectors, -inf where none is drawn.

    >>> log_weights(tf.constant([0.3, 0.8, 1.4]), dim=128).numpy().round(2)
    array([91.37, 39.01,  -inf], dtype=float32)
    """
    clipped = tf.clip_by_value(distances, _NEAREST, _FARTHEST)
    log = (2.0 - dim) * tf.math.log(clipped)
    log -= (dim - 3.0) / 2 * tf.math.log1p(-tf.square(clipped) / 4)
    return tf.where(distances < _FARTHEST, log, -float("inf"))


def draw_negatives(
    distances: tf.Tensor, same: tf.Tensor, dims: Sequence[int], seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws a negative for each anchor and each place in the batch.

    Args:
      distances: `[learners, batch, batch]` plain distances.
      same: `[batch, batch]` which pairs are of one class.
      dims: Dimensions of each learner.
      seed: `[2]` integers.

    Returns:
      Places in the batch, `[learners, batch, batch]` int64, and which anchors have any
      negative to draw, `[learners, batch]` bool.
    """
    by_learner = tf.constant(dims, tf.float32)[:, tf.newaxis, tf.newaxis]
    logits = tf.stop_gradient(log_weights(distances, by_learner))
    logits = tf.where(same, -float("inf"), logits)
    found = tf.reduce_any(tf.math.is_finite(logits), axis=2)
    # Of a row without any, something is drawn, and passed over.
    logits = tf.where(found[:, :, tf.newaxis], logits, 0.0)
    shape = tf.shape(distances)
    drawn = tf.random.stateless_categorical(
        tf.reshape(logits, [-1, shape[2]]), shape[2], tf.cast(seed, tf.int32)
    )
    return tf.reshape(drawn, shape), found


def _share(found: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(found, tf.float32))
