"""The metric losses by their names.

A loss is a module of this room with `create(config, sizes)`; its settings are flags of
`abe_tf.config.loss`, which holds the names, since flags are checked without TensorFlow.
"""

from __future__ import annotations

from abe_tf.config.loss import LossConfig, loss_of
from abe_tf.losses import (
    angular,
    bier,
    clustering,
    contrastive,
    hdc,
    lifted_struct,
    margin,
    multi_similarity,
    npairs,
    proxy_anchor,
    proxy_nca,
    triplet_hard,
    triplet_semihard,
)
from abe_tf.losses.classifier import WithClassifier
from abe_tf.losses.metric import MetricLoss, Sizes

CREATE = {
    "contrastive": contrastive.create,
    "triplet_semihard": triplet_semihard.create,
    "triplet_hard": triplet_hard.create,
    "lifted_struct": lifted_struct.create,
    "npairs": npairs.create,
    "angular": angular.create,
    "clustering": clustering.create,
    "proxy_nca": proxy_nca.create,
    "margin": margin.create,
    "proxy_anchor": proxy_anchor.create,
    "multi_similarity": multi_similarity.create,
    "hdc": hdc.create,
    "bier": bier.create,
}


def create(config: LossConfig, sizes: Sizes) -> MetricLoss:
    """The loss that `--metric_loss` names.

        >>> loss = create(LossConfig(metric_loss="proxy_nca"), Sizes(2, 8, (0, 1, 4)))
        >>> [variable.shape.as_list() for variable in loss.trainable_variables]
        [[2, 3, 8]]

    Args:
      config: The flags.
      sizes: What its variables depend on; call it in the strategy's scope.
    """
    metric = CREATE[config.metric_loss or loss_of("abe")](config, sizes)
    if config.classifier_weight:
        return WithClassifier(metric, config, sizes)
    return metric
