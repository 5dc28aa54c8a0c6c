"""ABE-M, M-heads and BIER on any encoder.

Every network maps uint8 RGB `[batch, height, width, 3]` to learner embeddings,
float32 `[batch, learners, dim]`, each of unit length, or of the length that says how
much it counts.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from abe_tf.layout import Layout
from abe_tf.models import layers as own
from abe_tf.models.backbones import EMBEDDING_FEATURES, SPATIAL, Backbone

layers = tf.keras.layers

# The linear layer and the mask convolutions: no pretrained weights exist for them.
LINEAR = "linear"
# The average over the places, before it.
POOLED = "pooled"
MASK = "mask_convolution"
# The hidden layers of a learner that sees features of before the end.
TOWER = "tower"
_MASKS = "attention_masks"
_LENGTHS = "learner_lengths"
# What gives them unit length.
UNIT = "learner_embeddings"
# Parts of a network by the beginnings of their layers' names.
PARTS = {
    SPATIAL: "S",
    "attention_trunk": "trunk",
    MASK: "masks",
    EMBEDDING_FEATURES: "G",
    TOWER: "towers",
    LINEAR: "embedding",
}


def attention_ensemble(
    backbone: Backbone,
    layout: Layout,
    mask_bias: float = 0.0,
    copy_weights: bool = False,
) -> tf.keras.Model:
    """ABE-M: each learner sees S(x) through its own mask, and all share G.

    G runs once, over a batch that holds every learner's view; batch normalisation in
    training therefore pools its statistics over the learners.

    Args:
      backbone: The encoder.
      layout: M learners of D / M dimensions.
      mask_bias: Bias of the mask convolutions at the start, before the sigmoid.
      copy_weights: Whether the trunk starts from G's weights, as it should where those
        are pretrained, or from random ones of its own.

    Returns:
      The network. Its layer `attention_masks` gives the masks,
      `[batch, learners, h, w, channels]` in (0, 1).
    """
    pixels = input_like(backbone)
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
        for learner in range(layout.learners)
    ]
    masks = own.StackLearners(name=_MASKS)(masks)
    attended = own.AttendAndFold(name="attended")([features, masks])
    embedded = embed(backbone.rest()(attended), layout.dim)
    learners = own.UnfoldLearners(layout.learners, name="unfold")(embedded)
    outputs = with_lengths(learners, layout)
    return tf.keras.Model(pixels, outputs, name=f"abe_{layout.learners}")


def multi_head_ensemble(
    backbone: Backbone, layout: Layout, copy_weights: bool = False
) -> tf.keras.Model:
    """M-heads, the paper's baseline: shared S, a G of its own for each learner.

    Args:
      backbone: The encoder.
      layout: M learners, one for the plain network; of 0 dimensions it has no linear
        layer.
      copy_weights: Whether every G starts from the encoder's weights, as it should
        where those are pretrained.
    """
    pixels = input_like(backbone)
    features = backbone.spatial()(pixels)
    learners = []
    for learner in range(layout.learners):
        name = f"{EMBEDDING_FEATURES}_{learner}"
        if learner == 0:
            rest = backbone.rest(name)
        else:
            rest = backbone.rest_copy(name, copy_weights)
        learners.append(embed(rest(features), layout.dims[learner], f"_{learner}"))
    stacked = own.StackLearners(name="stack")(learners)
    outputs = with_lengths(stacked, layout)
    return tf.keras.Model(pixels, outputs, name=f"heads_{layout.learners}")


def boosted_ensemble(backbone: Backbone, layout: Layout) -> tf.keras.Model:
    """BIER (Opitz et al., ICCV 2017): all shared but a linear layer a learner.

    Args:
      backbone: The encoder.
      layout: M learners, later ones larger.
    """
    pixels = input_like(backbone)
    features = backbone.rest()(backbone.spatial()(pixels))
    pooled = layers.GlobalAveragePooling2D(name=POOLED)(features)
    learners = []
    for learner, dim in enumerate(layout.dims):
        one = layers.Dense(dim, name=f"{LINEAR}_{learner}")(pooled)
        learners.append(own.FillUp(layout.dim, name=f"filled_{learner}")(one))
    outputs = with_lengths(own.StackLearners(name="stack")(learners), layout)
    return tf.keras.Model(pixels, outputs, name=f"bier_{layout.learners}")


def mask_network(network: tf.keras.Model) -> tf.keras.Model | None:
    """From an ensemble's pixels to its masks; `None` where it has none.

    Returns:
      A network of the same weights, to `[batch, learners, h, w, channels]` in (0, 1).
    """
    if _MASKS not in {layer.name for layer in network.layers}:
        return None
    return tf.keras.Model(network.input, network.get_layer(_MASKS).output)


def new_layer_variables(network: tf.keras.Model) -> list[tf.Variable]:
    """The variables of an ensemble for which no pretrained weights exist."""
    return [
        variable
        for layer in network.layers
        if layer.name.startswith((LINEAR, MASK, TOWER))
        for variable in layer.trainable_variables
    ]


def layout_of(network: tf.keras.Model) -> Layout:
    """Sizes and lengths of the learners of a network of this package."""
    last = network.layers[-1]
    if isinstance(last, own.LearnerLengths):
        return last.layout
    return Layout.equal(*network.output_shape[1:])


def before_lengths(network: tf.keras.Model, unit: bool) -> tf.keras.Model:
    """What the losses see of a network's learners.

    Args:
      network: A network of this package.
      unit: Whether they are of unit length, or as the layers before leave them.
    """
    lengths = network.layers[-1]
    if isinstance(lengths, own.LearnerLengths):
        learners = lengths.input
    else:
        learners = network.output
    if not unit:
        learners = network.get_layer(UNIT).input
    if learners is network.output:
        return network
    return tf.keras.Model(network.input, learners)


def linear_layers(
    network: tf.keras.Model,
) -> tuple[tf.Tensor, tuple[tf.Variable, ...]]:
    """The features that all linear layers of BIER see, and their matrices."""
    linear = [layer for layer in network.layers if layer.name.startswith(LINEAR)]
    return linear[0].input, tuple(layer.kernel for layer in linear)


def draws(network: tf.keras.Model) -> bool:
    """Whether a network draws anything in training."""
    return any(isinstance(layer, own.SeededDropout) for layer in network.layers)


def draw_from(network: tf.keras.Model, seed: Callable[[], tf.Tensor]) -> None:
    """Tells dropout what to draw from.

    Args:
      network: A network of this package.
      seed: Gives seed and step, `[2]` int64.
    """
    for layer in network.layers:
        if isinstance(layer, own.SeededDropout):
            layer.seed = seed


def input_like(backbone: Backbone) -> tf.Tensor:
    """A new network's pixels, of the encoder's size."""
    (pixels,) = backbone.network.inputs
    return layers.Input(pixels.shape[1:], dtype=pixels.dtype, name="pixels")


def embed(features: tf.Tensor, dim: int, number: str = "") -> tf.Tensor:
    """The end of the paper's G: average pooling, linear layer."""
    pooled = layers.GlobalAveragePooling2D(name=f"{POOLED}{number}")(features)
    return layers.Dense(dim, name=f"{LINEAR}{number}")(pooled) if dim else pooled


def with_lengths(learners: tf.Tensor, layout: Layout) -> tf.Tensor:
    """Learners of unit length, or of the lengths that say how much they count."""
    unit = own.UnitLength(name=UNIT)(learners)
    if layout.is_equal:
        return unit
    # float32 under any policy, as what gives unit length.
    lengths = own.LearnerLengths(
        layout.dims, layout.lengths, name=_LENGTHS, dtype="float32"
    )
    return lengths(unit)
