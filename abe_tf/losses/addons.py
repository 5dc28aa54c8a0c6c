"""TensorFlow Addons' losses where it imports, and our own forms of them elsewhere.

The one module that imports it. Its last release imports on TensorFlow up to 2.15, and
says at each import that it has reached its end of life.
"""

from __future__ import annotations

import contextlib
import functools
import types
import warnings

import tensorflow as tf

from abe_tf.losses import lifted_struct, npairs, triplet_semihard


@functools.cache
def tensorflow_addons() -> types.ModuleType | None:
    """TensorFlow Addons; `None` where it is not installed or cannot be imported."""
    with warnings.catch_warnings(), contextlib.suppress(ImportError):
        warnings.simplefilter("ignore")
        import tensorflow_addons

        return tensorflow_addons
    return None


def triplet_semihard_loss(
    embeddings: tf.Tensor, labels: tf.Tensor, margin: float, distance: str
) -> tf.Tensor:
    """Triplets with the nearest negative beyond each positive (FaceNet, CVPR 2015).

        >>> x = tf.constant([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> labels = tf.constant([0, 0, 1])
        >>> float(triplet_semihard_loss(x, labels, margin=0.5, distance="squared"))
        1.5

    Args:
      embeddings: `[batch, dim]` float32, unit length.
      labels: `[batch]` integer classes; some of one class, and at least two classes.
      margin: Negatives farther than the positive by this much cost nothing.
      distance: "squared" or "plain" Euclidean.

    Returns:
      Scalar float32, at least 0.
    """
    theirs = tensorflow_addons()
    if theirs is None:
        return triplet_semihard.triplet_semihard_loss(
            embeddings, labels, margin, distance
        )
    metric = {"squared": "squared-L2", "plain": "L2"}[distance]
    return theirs.losses.triplet_semihard_loss(labels, embeddings, margin, metric)


def lifted_struct_loss(
    embeddings: tf.Tensor, labels: tf.Tensor, margin: float
) -> tf.Tensor:
    """Lifted structured feature embedding (Song et al., CVPR 2016).

        >>> x = tf.constant([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> round(float(lifted_struct_loss(x, tf.constant([0, 0, 1]), margin=1.0)), 2)
        0.04

    Args:
      embeddings: `[batch, dim]` float32, unit length.
      labels: `[batch]` integer classes; some of one class, and at least two classes.
      margin: Plain distances of negatives are pushed beyond this.

    Returns:
      Scalar float32, at least 0.
    """
    theirs = tensorflow_addons()
    if theirs is None:
        return lifted_struct.lifted_struct_loss(embeddings, labels, margin)
    return theirs.losses.lifted_struct_loss(labels, embeddings, margin)


def npairs_loss(embeddings: tf.Tensor, labels: tf.Tensor, scale: float) -> tf.Tensor:
    """N-pairs (Sohn, NIPS 2016), of cosines.

    The first and second, third and fourth, ... image of the batch are the pairs, where
    they are of one class; other images are left out.

        >>> x = tf.constant([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> round(float(npairs_loss(x, tf.constant([0, 0, 1, 1]), scale=1.0)), 2)
        0.31

    Args:
      embeddings: `[batch, dim]` float32, unit length.
      labels: `[batch]` integer classes.
      scale: Factor on the cosines; with 1 the softmax would be nearly flat.

    Returns:
      Scalar float32, at least 0; 0 where there is no pair.
    """
    theirs = tensorflow_addons()
    if theirs is None:
        return npairs.npairs_loss(embeddings, labels, scale)
    anchors, positives, labels = npairs.pairs(embeddings, labels)
    logits = scale * tf.matmul(anchors, positives, transpose_b=True)
    return tf.cond(
        tf.size(labels) > 0,
        lambda: theirs.losses.npairs_loss(labels, logits),
        lambda: 0.0,
    )
