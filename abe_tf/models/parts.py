"""What each part of an attention ensemble weighs and costs."""

from __future__ import annotations

import tensorflow as tf

from abe_tf.models import ensemble
from abe_tf.models.backbones import EMBEDDING_FEATURES, SPATIAL
from abe_tf.models.cost import Cost, cost


def costs(network: tf.keras.Model) -> dict[str, Cost]:
    """Counts the parts of ABE-M, for one image.

    Args:
      network: What `attention_ensemble` built.

    Returns:
      "S", "trunk", "masks", "G" (which runs once a learner) and "embedding" (the linear
      layer, as often); together they are the whole network's.
    """
    names = [layer.name for layer in network.layers]
    masks = [layer for layer in network.layers if layer.name.startswith(ensemble.MASK)]
    learners = len(masks)
    spatial, rest = (network.get_layer(name) for name in (SPATIAL, EMBEDDING_FEATURES))
    linear = network.get_layer(ensemble.LINEAR)
    trunk = Cost(0, 0)
    if "attention_trunk" in names:
        trunk = cost(network.get_layer("attention_trunk"))
    height, width = spatial.output_shape[1:3]
    one_g = cost(rest)
    return {
        "S": cost(spatial),
        "trunk": trunk,
        "masks": Cost(
            sum(mask.count_params() for mask in masks),
            sum(height * width * tf.size(mask.kernel).numpy() for mask in masks),
        ),
        "G": Cost(one_g.parameters, learners * one_g.multiply_adds),
        "embedding": Cost(
            linear.count_params(), learners * int(tf.size(linear.kernel))
        ),
    }
