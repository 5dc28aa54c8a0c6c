"""LAMB (You et al., ICLR 2020, algorithm 2): Adam's steps, scaled layer by layer.

    u = m' / (sqrt(v') + epsilon) + weight_decay * w      m', v': Adam's moments
    w = w - rate * |w| / |u| * u

TensorFlow Addons' where it imports, and elsewhere our own, which does the same and
keeps the same things: a run goes on with either.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from abe_tf.losses.addons import tensorflow_addons

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-6


def create(rate: Any, weight_decay: float, no_decay: Sequence[str]) -> Any:
    """An optimizer of Keras' legacy kind.

    Args:
      rate: Learning rate, or a schedule of it.
      weight_decay: Decoupled.
      no_decay: Patterns; variables whose name one is found in neither decay nor have
        their steps scaled.
    """
    addons = tensorflow_addons()
    if addons is None:
        return Lamb(rate, weight_decay, no_decay)
    return addons.optimizers.LAMB(
        rate, weight_decay=weight_decay, exclude_from_weight_decay=list(no_decay)
    )


class Lamb(tf.keras.optimizers.legacy.Optimizer):
    """The optimizer, for dense gradients.

    Args:
      rate: Learning rate, or a schedule of it.
      weight_decay: Decoupled.
      no_decay: As for `create`.
    """

    def __init__(self, rate: Any, weight_decay: float, no_decay: Sequence[str]) -> None:
        super().__init__("LAMB")
        # What TensorFlow Addons keeps, by its names: it stands in checkpoints.
        self._set_hyper("weight_decay", weight_decay)
        self._set_hyper("learning_rate", rate)
        self._set_hyper("decay", 0.0)
        self._set_hyper("beta_1", _BETA_1)
        self._set_hyper("beta_2", _BETA_2)
        self._no_decay = tuple(no_decay)

    def _create_slots(self, var_list: Sequence[tf.Variable]) -> None:
        for name in ("m", "v"):
            for variable in var_list:
                self.add_slot(variable, name)

    def _resource_apply_dense(
        self,
        grad: tf.Tensor,
        handle: tf.Variable,
        apply_state: dict[Any, dict[str, tf.Tensor]] | None = None,
    ) -> tf.Operation:
        kind = handle.dtype.base_dtype
        state = (apply_state or {}).get((handle.device, kind))
        rate = (state or self._fallback_apply_state(handle.device, kind))["lr_t"]
        step = tf.cast(self.iterations + 1, kind)
        moments = []
        for name, beta, value in (("m", "beta_1", grad), ("v", "beta_2", grad * grad)):
            keep = self._get_hyper(beta, kind)
            slot = self.get_slot(handle, name)
            moment = slot.assign(slot * keep + value * (1 - keep), use_locking=False)
            moments.append(moment / (1 - tf.pow(keep, step)))
        update = moments[0] / (tf.sqrt(moments[1]) + _EPSILON)
        if not any(re.search(pattern, handle.name) for pattern in self._no_decay):
            update += self._get_hyper("weight_decay", kind) * handle
            update *= _trust_ratio(handle, update)
        return handle.assign_sub(rate * update)


def _trust_ratio(weight: tf.Tensor, update: tf.Tensor) -> tf.Tensor:
    """|weight| / |update|, and 1 where either is 0."""
    lengths = tf.norm(weight), tf.norm(update)
    ratio = tf.math.divide_no_nan(*lengths)
    return tf.where((lengths[0] > 0) & (lengths[1] > 0), ratio, 1.0)
