"""What a metric loss is: a function of a global batch, and its variables."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What the variables of a loss depend on.

    Attributes:
      learners: M.
      dim: Dimensions of one learner.
      classes: Labels of the classes that train, in order: a data set has others too.
      dims: Dimensions of each learner, where they differ.
    """

    learners: int
    dim: int
    classes: tuple[int, ...]
    dims: tuple[int, ...] = ()

    @property
    def of_each(self) -> tuple[int, ...]:
        """Dimensions of each learner, whether they differ or not."""
        return self.dims or (self.dim,) * self.learners


@dataclasses.dataclass(frozen=True)
class LinearLayers:
    """The last layers of learners that all see the same features.

    Attributes:
      features: `[batch, channels]` float32.
      kernels: `[channels, dims]` for each learner.
    """

    features: tf.Tensor
    kernels: tuple[tf.Variable, ...]


@dataclasses.dataclass(frozen=True)
class LossBatch:
    """A global batch: every replica sees the same, and draws the same from it.

    Attributes:
      embeddings: `[batch, learners, dim]` float32, of unit length, or of any with
        `--embedding_norm=free`.
      labels: `[batch]` integer classes.
      seed: `[2]` int64, seed and step: what `tf.random.stateless_*` draws from.
      linear: The last layers, for losses that look at them.
    """

    embeddings: tf.Tensor
    labels: tf.Tensor
    seed: tf.Tensor
    linear: LinearLayers | None = None


class MetricLoss(tf.Module):
    """Base of the losses.

    Its trainable variables have an optimizer of their own, lie in the checkpoint, and
    are neither exported nor averaged. Build it within the strategy's scope.

    Attributes:
      compilable: Whether XLA can compile it.
      rate_times: Learning rate of its variables by the encoder's, where none is given.
    """

    compilable = True
    rate_times = 50.0

    def __call__(self, batch: LossBatch) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The loss of a global batch.

        Returns:
          `[learners]` float32, and scalars by TensorBoard tag. What a batch has none of
          costs 0: positives, negatives.
        """
        raise NotImplementedError

    def of_network(self, batch: LossBatch) -> tf.Tensor | None:
        """What it adds that is no learner's own, a scalar that may be negative."""
        del batch
        return None


class OfClasses(MetricLoss):
    """Base of the losses with something for each class that trains.

    Args:
      sizes: Which classes these are; they lie in the checkpoint too.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self._known = tf.constant(sizes.classes, tf.int64)
        self.classes = tf.Variable(self._known, trainable=False, name="classes")

    def places(self, labels: tf.Tensor) -> tf.Tensor:
        """Places of labels among the classes; `[batch]` int32."""
        return tf.searchsorted(self._known, tf.cast(labels, tf.int64))


class AllLearners(MetricLoss):
    """A loss without variables, of all learners at once.

    Args:
      loss: `[batch, learners, dim]` embeddings and `[batch]` labels to `[learners]`.
    """

    def __init__(self, loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> None:
        super().__init__()
        self._loss = loss

    def __call__(self, batch: LossBatch) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The loss of a global batch."""
        return self._loss(batch.embeddings, batch.labels), {}


class EachLearner(AllLearners):
    """A loss without variables, of one learner after the other.

    Args:
      loss: `[batch, dim]` embeddings and `[batch]` labels to a scalar.
    """

    def __call__(self, batch: LossBatch) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The loss of a global batch."""
        learners = tf.unstack(batch.embeddings, axis=1)
        return tf.stack([self._loss(one, batch.labels) for one in learners]), {}
