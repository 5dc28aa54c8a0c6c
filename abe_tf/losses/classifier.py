"""Cross-entropy over the training classes, beside a metric loss.

    L = mean over images of -sum over classes t_c log softmax(W x)_c

with t the smoothed target (Szegedy et al., CVPR 2016, section 7): 1 - eps for the own
class, eps / (C - 1) for each other. W is each learner's own, without a bias.
"""

from __future__ import annotations

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses.metric import LossBatch, MetricLoss, OfClasses, Sizes

# Of the weights at the start, as the released program of MetaBIN has it.
_DEVIATION = 0.001


class WithClassifier(OfClasses):
    """A metric loss with a classifier of its own for each learner.

    Args:
      metric: The metric loss.
      config: Weight and smoothing.
      sizes: Learners and classes.

    Attributes:
      weights: `[learners, dim, classes]`.
    """

    def __init__(self, metric: MetricLoss, config: LossConfig, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.metric = metric
        self.compilable, self.rate_times = metric.compilable, metric.rate_times
        self._weight = config.classifier_weight
        self._smoothing = config.label_smoothing
        shape = [sizes.learners, sizes.dim, len(sizes.classes)]
        start = tf.random.normal(shape, stddev=_DEVIATION)
        self.weights = tf.Variable(start, name="classifier")

    def __call__(self, batch: LossBatch) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The loss of a global batch."""
        values, scalars = self.metric(batch)
        by_learner = tf.transpose(batch.embeddings, [1, 0, 2])
        logits = tf.matmul(by_learner, self.weights)
        places = self.places(batch.labels)
        costs = cross_entropy(logits, places, self._smoothing)
        right = tf.equal(tf.argmax(logits, -1, tf.int32), places)
        scalars = {
            **scalars,
            "loss/classifier": tf.reduce_sum(costs),
            "classifier/accuracy": tf.reduce_mean(tf.cast(right, tf.float32)),
        }
        return values + self._weight * costs, scalars

    def of_network(self, batch: LossBatch) -> tf.Tensor | None:
        """What the metric loss adds."""
        return self.metric.of_network(batch)


def cross_entropy(logits: tf.Tensor, places: tf.Tensor, smoothing: float) -> tf.Tensor:
    """Of each learner.

        >>> logits = tf.constant([[[0.0, 0.0]]])
        >>> cross_entropy(logits, tf.constant([1]), smoothing=0.1).numpy().round(3)
        array([0.693], dtype=float32)

    Args:
      logits: `[learners, batch, classes]` float32, two classes at least.
      places: `[batch]` int32, which class is right.
      smoothing: Share of the target that the other classes get together.

    Returns:
      `[learners]` float32, at least 0.
    """
    classes = logits.shape[-1]
    target = tf.one_hot(places, classes, 1 - smoothing, smoothing / (classes - 1))
    costs = -tf.reduce_sum(target * tf.nn.log_softmax(logits, -1), -1)
    return tf.reduce_mean(costs, axis=1)
