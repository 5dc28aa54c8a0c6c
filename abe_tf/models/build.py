"""From the model's flags to the network."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import tensorflow as tf

from abe_tf.config.model import ModelConfig
from abe_tf.config.sizes import ImageSize
from abe_tf.models.applications import application
from abe_tf.models.backbones import Backbone
from abe_tf.models.cascade import cascaded_ensemble
from abe_tf.models.ensemble import (
    attention_ensemble,
    boosted_ensemble,
    multi_head_ensemble,
)
from abe_tf.models.googlenet import googlenet
from abe_tf.models.inception_bn import inception_bn
from abe_tf.models.inception_small import inception_small
from abe_tf.models.renormalized import start_as_batch, with_normalization


# AutoGraph would rewrite the layers of this package, which takes seconds, and find
# nothing to change.
@tf.autograph.experimental.do_not_convert
def build(
    config: ModelConfig, image_size: ImageSize, load_pretrained: bool = True
) -> tf.keras.Model:
    """Builds the network that the flags describe.

    Within the scope of a strategy of several replicas, a batch normalisation that
    trains takes its statistics over all of them.

        >>> config = ModelConfig(
        ...     encoder="inception_small", num_learners=2, embedding_dim=16
        ... )
        >>> build(config, image_size=32).output_shape
        (None, 2, 8)

    Args:
      config: The model's flags.
      image_size: Side of a square or height and width of its input, in pixels.
      load_pretrained: Whether to fill the encoder from `config.encoder_weights`; not
        wanted where a checkpoint follows.

    Returns:
      uint8 RGB `[batch, height, width, 3]` to learner embeddings, float32
      `[batch, learners, dim]`, of the lengths of `config.layout`.

    Raises:
      InputError: The encoder's weights cannot be had or do not fit, the image is too
        small for the encoder, or it cannot be cut where the flags say.
    """
    config.check_image_size(image_size)
    with _policy(config.precision):
        network = _build(config, image_size, load_pretrained)
    synchronise_batch_norm(network)
    return network


def _build(
    config: ModelConfig, image_size: ImageSize, load_pretrained: bool
) -> tf.keras.Model:
    weights = config.encoder_weights if load_pretrained else "none"
    copy_weights = weights != "none"
    backbone = encoder(config, image_size, weights)
    backbone = backbone.with_attention(config.attention_at, config.attention_depth)
    if config.freeze_until:
        backbone.freeze_until(config.freeze_until)
    if config.freeze_batch_norm:
        _freeze_batch_norm(backbone.network)
    layout = config.layout
    if config.ensemble == "abe":
        return attention_ensemble(backbone, layout, config.mask_bias, copy_weights)
    if config.ensemble == "hdc":
        return cascaded_ensemble(backbone, layout, config.hdc_taps)
    if config.ensemble == "bier":
        return boosted_ensemble(backbone, layout)
    return multi_head_ensemble(backbone, layout, copy_weights)


def encoder(config: ModelConfig, image_size: ImageSize, weights: str) -> Backbone:
    """The encoder that the flags name, with attention at its own place.

    Args:
      config: The model's flags.
      image_size: Side of a square or height and width of its input, in pixels.
      weights: "none", "imagenet" or the path of a weight file.

    Raises:
      InputError: The weights cannot be had or do not fit.
    """
    found = _as_published(config, image_size, weights)
    if config.normalization == "batch":
        return found
    network = with_normalization(
        found.network, config.normalization, config.freeze_batch_norm
    )
    if config.instance_affine == "batch":
        start_as_batch(network)
    return dataclasses.replace(found, network=network)


def _as_published(config: ModelConfig, image_size: ImageSize, weights: str) -> Backbone:
    if config.encoder == "googlenet":
        return googlenet(image_size, weights)
    if config.encoder == "inception_bn":
        return inception_bn(image_size, weights)
    if config.encoder == "inception_small":
        return inception_small(image_size)
    width = {"alpha": config.mobilenet_alpha} if config.has_width else {}
    return application(config.encoder, image_size, weights, **width)


@contextlib.contextmanager
def _policy(precision: str) -> Iterator[None]:
    """Layers built inside compute in this precision, with float32 weights."""
    mixed = tf.keras.mixed_precision
    before = mixed.global_policy()
    name = precision if precision == "float32" else f"mixed_{precision}"
    mixed.set_global_policy(name)
    try:
        yield
    finally:
        mixed.set_global_policy(before)


def _batch_norms(network: tf.keras.Model) -> list[tf.keras.layers.Layer]:
    kind = tf.keras.layers.BatchNormalization
    return [layer for layer in network.submodules if isinstance(layer, kind)]


def _freeze_batch_norm(network: tf.keras.Model) -> None:
    # Keras runs a batch normalisation that is not trainable in inference mode, in
    # training too. Copies of the layer inherit the setting.
    for layer in _batch_norms(network):
        layer.trainable = False


def synchronise_batch_norm(network: tf.keras.Model) -> None:
    """Lets batch normalisation that trains see the batch of all replicas, if several.

    Args:
      network: Built within the scope of the strategy.
    """
    # Set at the end and not where the layers are made: most are made by Keras' own
    # applications, and its copies of a layer forget it. The fused kernel knows nothing
    # of other replicas.
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    for layer in _batch_norms(network):
        if several and layer.trainable:
            layer.synchronized, layer.fused = True, False
