"""Proxy-Anchor (Kim et al., CVPR 2020, equation 4), of cosines s of images and proxies.

L = mean over proxies p with an image of their class in the batch of
        log(1 + sum over images of p's class of exp(-scale (s - margin)))
  + mean over all proxies p of
        log(1 + sum over images of other classes of exp(scale (s + margin)))
"""

from __future__ import annotations

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses.metric import LossBatch, MetricLoss, Sizes
from abe_tf.losses.proxies import ProxyLoss
from abe_tf.losses.stable import log_one_plus_sum


def create(config: LossConfig, sizes: Sizes) -> MetricLoss:
    """The loss that the flags describe."""
    return ProxyAnchor(sizes, config.proxy_anchor_scale, config.proxy_anchor_margin)


class ProxyAnchor(ProxyLoss):
    """The loss, with its proxies.

    Args:
      sizes: Learners, dimensions and classes of the proxies.
      scale: Steepness; the paper's alpha.
      margin: The paper's delta.
    """

    def __init__(self, sizes: Sizes, scale: float = 32.0, margin: float = 0.1) -> None:
        super().__init__(sizes)
        self._scale, self._margin = scale, margin

    def __call__(self, batch: LossBatch) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The loss of a global batch."""
        own = self.own_class(batch.labels)
        cosines = self.cosines(batch.embeddings)
        # [learners, classes]
        near = log_one_plus_sum(-self._scale * (cosines - self._margin), own, axis=1)
        far = log_one_plus_sum(self._scale * (cosines + self._margin), ~own, axis=1)
        present = tf.math.count_nonzero(tf.reduce_any(own, axis=0), dtype=tf.float32)
        # A proxy without an image costs 0 there.
        positive = tf.math.divide_no_nan(tf.reduce_sum(near, axis=1), present)
        return positive + tf.reduce_mean(far, axis=1), {}
