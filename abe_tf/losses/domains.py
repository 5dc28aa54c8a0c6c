"""The losses of MetaBIN's meta-train domains (Choi et al., CVPR 2021, section 3.3).

    scatter = mean over domains of the mean of cos(x_i, mean of the domain's x)
    shuffle = mean over i of log(1 + exp(
        max over k of another domain D_ik - min over k of i's, of another class, D_ik))

Minimised, the first spreads a domain out, and the second draws other domains nearer
than what is of one domain: a normalisation is looked for that goes wrong so. The second
is as its authors released it; D is the plain distance.
"""

from __future__ import annotations

import tensorflow as tf

from abe_tf.losses.pairwise import as_distance, same_class, squared_distances
from abe_tf.losses.stable import FAR


def scatter_loss(learner_embeddings: tf.Tensor, domains: tf.Tensor) -> tf.Tensor:
    """How close to each other the images of a domain are.

        >>> x = tf.constant([[[1.0, 0.0]], [[0.0, 1.0]], [[3.0, 0.0]]])
        >>> scatter_loss(x, tf.constant([0, 0, 1])).numpy().round(3)
        array([0.854], dtype=float32)

    Args:
      learner_embeddings: `[batch, learners, dim]` float32, of any length.
      domains: `[batch]` integers.

    Returns:
      `[learners]` float32 in -1 to 1.
    """
    directions = tf.math.l2_normalize(learner_embeddings, axis=-1)
    alike = tf.cast(same_class(domains), directions.dtype)
    # Of unit length, so that the mean's own length does not matter.
    means = tf.math.l2_normalize(tf.einsum("ij,jmd->imd", alike, directions), axis=-1)
    cosines = tf.reduce_sum(directions * means, axis=-1)
    # Each domain weighs the same, however many images it has.
    weights = 1 / tf.reduce_sum(alike, axis=1)
    return tf.einsum("i,im->m", weights, cosines) / tf.reduce_sum(weights)


def shuffle_loss(
    learner_embeddings: tf.Tensor, labels: tf.Tensor, domains: tf.Tensor
) -> tf.Tensor:
    """How far other domains are, beside other classes of the own.

        >>> x = tf.constant([[[0.0, 0.0]], [[1.0, 0.0]], [[3.0, 0.0]]])
        >>> labels, domains = tf.constant([0, 1, 2]), tf.constant([0, 0, 1])
        >>> shuffle_loss(x, labels, domains).numpy().round(3)
        array([1.72], dtype=float32)

    Args:
      learner_embeddings: `[batch, learners, dim]` float32.
      labels: `[batch]` integer classes.
      domains: `[batch]` integers.

    Returns:
      `[learners]` float32, at least 0. An image with nothing of another domain, or of
      another class in its own, costs 0 and does not count.
    """
    distances = as_distance(squared_distances(learner_embeddings), "plain")
    together = same_class(domains)
    rivals = together & ~same_class(labels)
    farthest = tf.reduce_max(tf.where(together, 0.0, distances), axis=2)
    nearest = tf.reduce_min(tf.where(rivals, distances, FAR), axis=2)
    counts = tf.reduce_any(~together, 1) & tf.reduce_any(rivals, 1)
    costs = tf.where(counts, tf.nn.softplus(farthest - nearest), 0.0)
    count = tf.math.count_nonzero(counts, dtype=distances.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(costs, axis=1), count)
