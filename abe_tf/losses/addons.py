"""TensorFlow Addons, where it imports: the one module that imports it.

Its last release imports on TensorFlow up to 2.15, and says at each import that it has
reached its end of life.
"""

from __future__ import annotations

import contextlib
import functools
import types
import warnings
from collections.abc import Callable

import tensorflow as tf

from abe_tf.losses.pairwise import positive_pairs, same_class


@functools.cache
def tensorflow_addons() -> types.ModuleType | None:
    """TensorFlow Addons; `None` where it is not installed or cannot be imported."""
    with warnings.catch_warnings(), contextlib.suppress(ImportError):
        warnings.simplefilter("ignore")
        import tensorflow_addons

        return tensorflow_addons
    return None


def where_both(loss: Callable[[], tf.Tensor], labels: tf.Tensor) -> tf.Tensor:
    """A loss of theirs, and 0 where it would be no number.

    Args:
      loss: Called for a batch with a positive pair and a negative one.
      labels: `[batch]` integer classes.
    """
    same = same_class(labels)
    both = tf.reduce_any(positive_pairs(same)) & tf.reduce_any(~same)
    return tf.cond(both, loss, lambda: 0.0)
