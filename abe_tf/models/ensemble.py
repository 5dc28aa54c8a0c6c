"""ABE-M and M-heads on any encoder.

Every network maps uint8 RGB `[batch, height, width, 3]` to learner embeddings,
float32 `[batch, learners, dim]`, each of unit length.
"""

from __future__ import annotations

import tensorflow as tf

from abe_tf.models import layers as own
from abe_tf.models.backbones import EMBEDDING_FEATURES, SPATIAL, Backbone

layers = tf.keras.layers

# The linear layer and the mask convolutions: no pretrained weights exist for them.
LINEAR = "linear"
# The average over the places, before it.
POOLED = "pooled"
MASK = "mask_convolution"
_MASKS = "attention_masks"
# Parts of a network by the beginnings of their layers' names.
PARTS = {
    SPATIAL: "S",
    "attention_trunk": "trunk",
    MASK: "masks",
    EMBEDDING_FEATURES: "G",
    LINEAR: "embedding",
}


def attention_ensemble(
    backbone: Backbone,
    num_learners: int,
    dim: int,
    mask_bias: float = 0.0,
    copy_weights: bool = False,
) -> tf.keras.Model:
    """ABE-M: each learner sees S(x) through its own mask, and all share G.

    G runs once, over a batch that holds every learner's view; batch normalisation in
    training therefore pools its statistics over the learners.

    Args:
      backbone: The encoder.
      num_learners: M.
      dim: Dimensions of one learner, the paper's D / M.
      mask_bias: Bias of the mask convolutions at the start, before the sigmoid.
      copy_weights: Whether the trunk starts from G's weights, as it should where those
        are pretrained, or from random ones of its own.

    Returns:
      The network. Its layer `attention_masks` gives the masks,
      `[batch, learners, h, w, channels]` in (0, 1).
    """
    pixels = _input_like(backbone)
    features = backbone.spatial()(pixels)
    blocks = backbone.trunk(copy_weights)
    trunk = features if blocks is None else blocks(features)
    masks = [
        layers.Conv2D(
            features.shape[-1],
            1,
            activation="sigmoid",
            bias_initializer=tf.keras.initializers.Constant(mask_bias),
            name=f"{MASK}_{learner}",
        )(trunk)
        for learner in range(num_learners)
    ]
    masks = own.StackLearners(name=_MASKS)(masks)
    attended = own.AttendAndFold(name="attended")([features, masks])
    embedded = _embed(backbone.rest(), attended, dim)
    learners = own.UnfoldLearners(num_learners, name="unfold")(embedded)
    outputs = own.UnitLength(name="learner_embeddings")(learners)
    return tf.keras.Model(pixels, outputs, name=f"abe_{num_learners}")


def multi_head_ensemble(
    backbone: Backbone, num_learners: int, dim: int, copy_weights: bool = False
) -> tf.keras.Model:
    """M-heads, the paper's baseline: shared S, a G of its own for each learner.

    Args:
      backbone: The encoder.
      num_learners: M; with one learner this is the plain network.
      dim: Dimensions of one learner; 0 leaves the linear layer out.
      copy_weights: Whether every G starts from the encoder's weights, as it should
        where those are pretrained.
    """
    pixels = _input_like(backbone)
    features = backbone.spatial()(pixels)
    learners = []
    for learner in range(num_learners):
        name = f"{EMBEDDING_FEATURES}_{learner}"
        if learner == 0:
            rest = backbone.rest(name)
        else:
            rest = backbone.rest_copy(name, copy_weights)
        learners.append(_embed(rest, features, dim, f"_{learner}"))
    stacked = own.StackLearners(name="stack")(learners)
    outputs = own.UnitLength(name="learner_embeddings")(stacked)
    return tf.keras.Model(pixels, outputs, name=f"heads_{num_learners}")


def mask_network(network: tf.keras.Model) -> tf.keras.Model | None:
    """From an ensemble's pixels to its masks; `None` where it has none.

    Returns:
      A network of the same weights, to `[batch, learners, h, w, channels]` in (0, 1).
    """
    if _MASKS not in {layer.name for layer in network.layers}:
        return None
    return tf.keras.Model(network.input, network.get_layer(_MASKS).output)


def new_layer_variables(network: tf.keras.Model) -> list[tf.Variable]:
    """The variables of the linear layers and mask convolutions of an ensemble."""
    return [
        variable
        for layer in network.layers
        if layer.name.startswith((LINEAR, MASK))
        for variable in layer.trainable_variables
    ]


def _input_like(backbone: Backbone) -> tf.Tensor:
    (pixels,) = backbone.network.inputs
    return layers.Input(pixels.shape[1:], dtype=pixels.dtype, name="pixels")


def _embed(
    rest: tf.keras.Model, features: tf.Tensor, dim: int, number: str = ""
) -> tf.Tensor:
    """The paper's G: blocks, average pooling, linear layer."""
    pooling = layers.GlobalAveragePooling2D(name=f"{POOLED}{number}")
    pooled = pooling(rest(features))
    return layers.Dense(dim, name=f"{LINEAR}{number}")(pooled) if dim else pooled
