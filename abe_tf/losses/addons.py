"""TensorFlow Addons: the one module that imports it.

Its last release has reached its end of life and says so at each import; it is pinned
together with the TensorFlow that it belongs to.
"""

from __future__ import annotations

import types
import warnings
from typing import Any

import tensorflow as tf


def _addons() -> types.ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow_addons
    return tensorflow_addons


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
      labels: `[batch]` integer classes.
      margin: Negatives farther than the positive by this much cost nothing.
      distance: "squared" or "plain" Euclidean.

    Returns:
      Scalar float32, at least 0.
    """
    metric = {"squared": "squared-L2", "plain": "L2"}[distance]
    return _addons().losses.triplet_semihard_loss(labels, embeddings, margin, metric)


def lifted_struct_loss(
    embeddings: tf.Tensor, labels: tf.Tensor, margin: float
) -> tf.Tensor:
    """Lifted structured feature embedding (Song et al., CVPR 2016).

        >>> x = tf.constant([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> round(float(lifted_struct_loss(x, tf.constant([0, 0, 1]), margin=1.0)), 2)
        0.04

    Args:
      embeddings: `[batch, dim]` float32, unit length.
      labels: `[batch]` integer classes.
      margin: Plain distances of negatives are pushed beyond this.

    Returns:
      Scalar float32, at least 0.
    """
    return _addons().losses.lifted_struct_loss(labels, embeddings, margin)


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
    end = 2 * (tf.shape(labels)[0] // 2)
    paired = tf.equal(labels[0:end:2], labels[1:end:2])
    anchors, positives = (
        tf.boolean_mask(embeddings[first:end:2], paired) for first in (0, 1)
    )
    logits = scale * tf.matmul(anchors, positives, transpose_b=True)
    labels = tf.boolean_mask(labels[0:end:2], paired)
    return tf.cond(
        tf.reduce_any(paired),
        lambda: _addons().losses.npairs_loss(labels, logits),
        lambda: 0.0,
    )


def lamb(rate: Any, weight_decay: float, no_decay: list[str]) -> Any:
    """LAMB (You et al., ICLR 2020), an optimizer of Keras' legacy kind.

    Args:
      rate: Learning rate, or a schedule of it.
      weight_decay: Decoupled.
      no_decay: What is in the names of the variables that do not decay.
    """
    return _addons().optimizers.LAMB(
        rate, weight_decay=weight_decay, exclude_from_weight_decay=no_decay
    )
