"""An encoder with another normalisation in place of that by batch."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from abe_tf.errors import InputError
from abe_tf.models.normalization import (
    BatchAndInstance,
    BatchInstanceNormalization,
    InstanceHalf,
    OnePlace,
)

_KINDS = {"instance_half": InstanceHalf, "batch_instance": BatchInstanceNormalization}


def with_normalization(
    network: tf.keras.Model, kind: str, freeze_batch: bool
) -> tf.keras.Model:
    """Copies an encoder, with another normalisation in place of each by batch.

    Where a channel is one number an image has nothing to normalise: there it stays by
    batch.

    Args:
      network: A functional model of layers alone.
      kind: "instance_half" or "batch_instance".
      freeze_batch: As the layers take it.

    Returns:
      An encoder with the same names and weights.

    Raises:
      InputError: There is no batch normalisation.
    """
    batch_norm = tf.keras.layers.BatchNormalization

    def copy(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        if isinstance(layer, batch_norm):
            several = np.prod(layer.output_shape[1:3]) > 1
            made = _KINDS[kind] if several else OnePlace
            return made(
                layer.momentum,
                layer.epsilon,
                freeze_batch,
                name=layer.name,
                dtype=layer.dtype_policy,
            )
        return type(layer).from_config(layer.get_config())

    copied = tf.keras.models.clone_model(network, clone_function=copy)
    replaced = False
    for layer, new in zip(network.layers, copied.layers, strict=True):
        if isinstance(new, BatchAndInstance):
            new.take(*_learnt(layer))
            replaced |= type(new) is not OnePlace
        else:
            new.set_weights(layer.get_weights())
    if not replaced:
        raise InputError(
            "--normalization takes the place of an encoder's batch normalisation. "
            f"Received: {kind}, with {network.name}, which has none of more than one "
            "place. Use --normalization=batch, another --encoder or larger images."
        )
    return copied


def start_as_batch(network: tf.keras.Model) -> None:
    """Gives each mixture's part by image the affine form of its part by batch."""
    for layer in network.layers:
        if isinstance(layer, BatchInstanceNormalization):
            layer.instance_gamma.assign(layer.gamma)
            layer.instance_beta.assign(layer.beta)


def rhos(network: tf.keras.Model) -> dict[str, tf.Variable]:
    """The rho of each layer that has one, by the layer's name, in order."""
    found: dict[str, tf.Variable] = {}
    for part in (network, *_models_within(network)):
        for layer in part.layers:
            if isinstance(layer, BatchInstanceNormalization):
                name = layer.name if part is network else f"{part.name}/{layer.name}"
                found[name] = layer.rho
    return found


def _models_within(network: tf.keras.Model) -> list[tf.keras.Model]:
    return [layer for layer in network.layers if isinstance(layer, tf.keras.Model)]


def _learnt(layer: tf.keras.layers.BatchNormalization) -> list[np.ndarray]:
    mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    gamma = layer.gamma.numpy() if layer.scale else np.ones_like(mean)
    beta = layer.beta.numpy() if layer.center else np.zeros_like(mean)
    return [gamma, beta, mean, variance]
