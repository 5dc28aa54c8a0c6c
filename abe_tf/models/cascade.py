"""HDC on any encoder (Yuan et al., "Hard-Aware Deeply Cascaded Embedding", ICCV 2017).

The learners see features of one network at several depths: the first ones through a
tower of hidden layers each, as GoogLeNet's auxiliary classifiers, the last one its end.
"""

from __future__ import annotations

import tensorflow as tf

from abe_tf.errors import InputError
from abe_tf.layout import Layout
from abe_tf.models import ensemble
from abe_tf.models import layers as own
from abe_tf.models.backbones import EMBEDDING_FEATURES, SPATIAL, Backbone

layers = tf.keras.layers

# Of the authors' network.
_POOL, _STRIDE, _CHANNELS, _HIDDEN = 5, 3, 128, 1024
_DROPPED, _DROPPED_AT_END = 0.7, 0.4
_IN_GOOGLENET = ("inception_4a", "inception_4d")


def cascaded_ensemble(
    backbone: Backbone, layout: Layout, taps: tuple[str, ...]
) -> tf.keras.Model:
    """HDC: a learner behind each of some blocks, and one at the end.

    Args:
      backbone: The encoder.
      layout: M learners.
      taps: Places of the first M - 1, or none for the usual ones.

    Raises:
      InputError: A place is none, or they are not in order.
    """
    taps = _checked(backbone, taps) or usual_taps(backbone, layout.learners)
    pixels = ensemble.input_like(backbone)
    features, start, learners = pixels, None, []
    for number, tap in enumerate((*taps, None)):
        # S ends at the first tap, G at the last features.
        name = f"{EMBEDDING_FEATURES}_{number - 1}" if number else SPATIAL
        features = backbone.between(start, tap, name)(features)
        dim, start = layout.dims[number], tap
        if tap is None:
            learners.append(_at_end(features, dim, number))
        else:
            learners.append(_tower(features, dim, number))
    stacked = own.StackLearners(name="stack")(learners)
    outputs = ensemble.with_lengths(stacked, layout)
    return tf.keras.Model(pixels, outputs, name=f"hdc_{layout.learners}")


def usual_taps(backbone: Backbone, learners: int) -> tuple[str, ...]:
    """Those of the paper, or ends of blocks at equal parts of the way.

    Raises:
      InputError: The encoder has too few blocks.
    """
    places = backbone.places
    if learners == 3 and set(_IN_GOOGLENET) <= set(places):
        return _IN_GOOGLENET
    blocks = len(places) + 1
    if learners > blocks:
        raise InputError(
            "--num_learners must be at most the number of blocks with --ensemble=hdc. "
            f"Received: {learners}, with {blocks} blocks of {backbone.network.name}."
        )
    return tuple(
        places[max(number, round(number * blocks / learners)) - 1]
        for number in range(1, learners)
    )


def _checked(backbone: Backbone, taps: tuple[str, ...]) -> tuple[str, ...]:
    for tap in taps:
        backbone.check_place("hdc_taps", tap)
    order = [backbone.places.index(tap) for tap in taps]
    if order != sorted(set(order)):
        raise InputError(
            "--hdc_taps must be in the order of the network, each once. "
            f"Received: {','.join(taps)}."
        )
    return taps


def _tower(features: tf.Tensor, dim: int, number: int) -> tf.Tensor:
    name = f"{ensemble.TOWER}_{number}"
    size = min(_POOL, *features.shape[1:3])
    x = layers.AveragePooling2D(size, _STRIDE, name=f"{name}_pool")(features)
    x = layers.Conv2D(_CHANNELS, 1, activation="relu", name=f"{name}_conv")(x)
    x = layers.Flatten(name=f"{name}_flatten")(x)
    x = layers.Dense(_HIDDEN, activation="relu", name=f"{name}_hidden")(x)
    x = own.SeededDropout(_DROPPED, number, name=f"{name}_dropout")(x)
    return layers.Dense(dim, name=f"{ensemble.LINEAR}_{number}")(x)


def _at_end(features: tf.Tensor, dim: int, number: int) -> tf.Tensor:
    pooling = layers.GlobalAveragePooling2D(name=f"{ensemble.POOLED}_{number}")
    dropout = own.SeededDropout(_DROPPED_AT_END, number, name=f"dropout_{number}")
    linear = layers.Dense(dim, name=f"{ensemble.LINEAR}_{number}")
    return linear(dropout(pooling(features)))
