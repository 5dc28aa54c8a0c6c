"""Clustering loss by facility location (Song et al., CVPR 2017, section 3).

    F(S) = - sum over images i of the smallest D_ij to a medoid j in S
    L = [max over |S| = K of (F(S) + gamma Delta(S)) - F(medoids of the classes)]+

D is the plain distance of unit vectors, K the number of classes in the batch, Delta 1
minus the normalised mutual information of clusters and classes, by the geometric mean
of their entropies. S is found greedily and refined (`facility.py`); S and Delta are
constants for the gradient. Gamma may fall over the steps, as it does in the paper.
The sums grow with the batch, as in the paper.
"""

from __future__ import annotations

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses import facility
from abe_tf.losses.metric import LossBatch, MetricLoss, Sizes
from abe_tf.losses.pairwise import as_distance, squared_distances


def create(config: LossConfig, sizes: Sizes) -> MetricLoss:
    """The loss that the flags describe."""
    return Clustering(config)


class Clustering(MetricLoss):
    """The loss of each learner, and how many have nothing left to learn.

    Args:
      config: Gamma, and how it falls over the steps.
    """

    # S is found by a program of its own.
    compilable = False

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        self._gamma, self._factor = (
            config.clustering_gamma,
            config.clustering_decay_factor,
        )
        self._every = config.clustering_decay_steps

    def __call__(self, batch: LossBatch) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The loss of a global batch."""
        _, step = tf.unstack(batch.seed)
        falls = tf.cast(step // self._every, tf.float32)
        gamma = self._gamma * tf.pow(self._factor, falls)
        learners = tf.unstack(batch.embeddings, axis=1)
        losses = tf.stack([clustering_loss(x, batch.labels, gamma) for x in learners])
        zero = tf.reduce_mean(tf.cast(tf.equal(losses, 0), tf.float32))
        return losses, {
            "clustering/learners_at_zero": zero,
            "clustering/gamma": gamma,
        }


def clustering_loss(
    embeddings: tf.Tensor, labels: tf.Tensor, gamma: float | tf.Tensor = 1.0
) -> tf.Tensor:
    """The loss of one learner.

        >>> x = tf.constant([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
        >>> round(float(clustering_loss(x, tf.constant([0, 0, 1, 1]))), 3)
        3.828

    Args:
      embeddings: `[batch, dim]` float32, unit length.
      labels: `[batch]` integer classes.
      gamma: Weight of Delta.

    Returns:
      Scalar float32, at least 0.
    """
    distances = as_distance(squared_distances(embeddings[:, tf.newaxis])[0], "plain")
    gamma = tf.convert_to_tensor(gamma, tf.float32)
    nearest, own, delta = tf.numpy_function(
        facility.locate,
        [tf.stop_gradient(distances), labels, gamma],
        [tf.int64, tf.int64, tf.float32],
        stateful=False,
    )
    to_chosen, to_own = (
        tf.reduce_sum(tf.gather(distances, tf.ensure_shape(one, [None]), batch_dims=1))
        for one in (nearest, own)
    )
    return tf.nn.relu(to_own - to_chosen + gamma * tf.ensure_shape(delta, []))
