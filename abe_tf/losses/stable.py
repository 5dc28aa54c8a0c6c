"""Sums of exponentials that neither overflow nor have gradients that are no numbers."""

from __future__ import annotations

import tensorflow as tf

# An exponent of what is left out: exp gives 0, and the logarithm of nothing but these
# stays finite, with gradient 0.
NEVER = -1e9
# Beyond all distances, and finite: what is masked has gradient 0 and no NaN.
FAR = 1e30


def log_sum(exponents: tf.Tensor, kept: tf.Tensor, axis: int) -> tf.Tensor:
    """Logarithm of the sum of exp over what is kept; about -1e9 of nothing."""
    return tf.reduce_logsumexp(tf.where(kept, exponents, NEVER), axis=axis)


def log_one_plus_sum(exponents: tf.Tensor, kept: tf.Tensor, axis: int) -> tf.Tensor:
    """Logarithm of 1 + the sum of exp over what is kept; 0 where nothing is.

    Args:
      exponents: float32, of any shape.
      kept: bool, likewise.
      axis: What is summed over.
    """
    return tf.nn.softplus(log_sum(exponents, kept, axis))
