"""Proxy-NCA (Movshovitz-Attias et al., ICCV 2017, algorithm 1).

    L = mean over i of -log(exp(-d(x_i, p_y)) / sum over z of exp(-d(x_i, p_z)))

d is the squared distance, times scale squared, of unit-length x and proxies p, one for
each training class. The paper sums over the other classes z != y, so that L may be
negative; "included" sums over all, and may smooth the target.
"""

from __future__ import annotations

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses.metric import LossBatch, MetricLoss, Sizes
from abe_tf.losses.proxies import ProxyLoss
from abe_tf.losses.stable import log_sum


def create(config: LossConfig, sizes: Sizes) -> MetricLoss:
    """The loss that the flags describe."""
    return ProxyNca(
        sizes,
        config.proxy_scale,
        config.proxy_positive == "included",
        config.proxy_smoothing,
    )


class ProxyNca(ProxyLoss):
    """The loss, with its proxies.

    Args:
      sizes: Learners, dimensions and classes of the proxies.
      scale: Factor on embeddings and proxies alike.
      included: Whether the sum has the image's own class.
      smoothing: Share of the target that goes to the other classes alike; with
        `included`.
    """

    def __init__(
        self, sizes: Sizes, scale: float, included: bool, smoothing: float = 0.0
    ) -> None:
        super().__init__(sizes)
        self._scale, self._included, self._smoothing = scale, included, smoothing

    def __call__(self, batch: LossBatch) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The loss of a global batch."""
        own = self.own_class(batch.labels)
        # Of unit vectors: |x - p|^2 = 2 - 2 x.p
        squared = 2 - 2 * self.cosines(batch.embeddings)
        logits = -(self._scale**2) * squared
        summed = own if self._included else ~own
        everything = tf.ones_like(own) if self._included else summed
        whole = log_sum(logits, everything[tf.newaxis], axis=2)
        share = tf.cast(own, tf.float32)
        if self._smoothing:
            others = tf.cast(tf.shape(own)[1] - 1, tf.float32)
            share = tf.where(own, 1 - self._smoothing, self._smoothing / others)
        aimed_at = tf.reduce_sum(share * logits, axis=2)
        return tf.reduce_mean(whole - aimed_at, axis=1), {}
