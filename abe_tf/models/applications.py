"""The encoders that `tf.keras.applications` has, each cut by the same few lines."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from abe_tf.config.sizes import ImageSize, sides
from abe_tf.models.backbones import Backbone, backbone
from abe_tf.models.layers import PixelNormalization
from abe_tf.models.weights import pretrained

# Of ImageNet's channels, as a share of 255.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Application:
    """One of Keras' networks, and where attention goes.

    The place is that of the paper in GoogLeNet: the first features of a sixteenth of
    the image's height, a trunk of the blocks behind them of that size.

    Attributes:
      build: Builds it.
      block_ends: Names of layers where a block may end, as a regular expression.
      attention_at: Place of the attention.
      attention_depth: Blocks in the trunk.
      pixels: Arguments of the layer that normalises pixels.
      in_order: Whether weights are told by their order, since names are counted over
        all networks that a program builds.
    """

    build: Callable[..., tf.keras.Model]
    block_ends: str
    attention_at: str
    attention_depth: int
    pixels: dict[str, Any]
    in_order: bool = False


def _pixels(mean: Any, scale: Any, bgr: bool = False) -> dict[str, Any]:
    return {"mean": mean, "scale": scale, "bgr": bgr}


_PLUS_MINUS_ONE = _pixels((127.5, 127.5, 127.5), 127.5)

APPLICATIONS = {
    "mobilenet": Application(
        tf.keras.applications.MobileNet,
        r"conv_pw_\d+_relu",
        "conv_pw_6_relu",
        5,
        _PLUS_MINUS_ONE,
    ),
    "mobilenet_v2": Application(
        tf.keras.applications.MobileNetV2,
        r"(expanded_conv|block_\d+)_(project_BN|add)",
        "block_6_project_BN",
        6,
        _PLUS_MINUS_ONE,
    ),
    "inception_v3": Application(
        tf.keras.applications.InceptionV3,
        r"mixed\d+",
        "mixed3",
        4,
        _PLUS_MINUS_ONE,
        in_order=True,
    ),
    "resnet50": Application(
        tf.keras.applications.ResNet50,
        r"pool1_pool|conv\d_block\d_out",
        "conv4_block1_out",
        5,
        _pixels((103.939, 116.779, 123.68), 1.0, bgr=True),
    ),
    "efficientnet_b0": Application(
        tf.keras.applications.EfficientNetB0,
        r"block\d[a-z]_(project_bn|add)",
        "block4a_project_bn",
        5,
        # The network itself divides by 255.
        _pixels(tuple(255 * m for m in _MEAN), _DEVIATION),
    ),
}


def application(
    name: str, image_size: ImageSize, weights: str, **arguments: float
) -> Backbone:
    """Builds one of them.

    Args:
      name: One of `APPLICATIONS`.
      image_size: Side of a square or height and width of the input.
      weights: "none", "imagenet" or the path of a weight file.
      **arguments: For Keras' own function, such as `alpha`.

    Raises:
      InputError: The weights cannot be had, or belong to another network.
    """
    chosen = APPLICATIONS[name]
    pixels = tf.keras.layers.Input(
        [*sides(image_size), 3], dtype=tf.uint8, name="pixels"
    )
    normalized = PixelNormalization(**chosen.pixels, name="pixel_normalization")(pixels)
    network = chosen.build(
        input_tensor=normalized, include_top=False, weights=None, **arguments
    )
    if weights == "imagenet":
        source = pretrained.download_application(chosen.build, arguments)
        pretrained.copy_in_order(source, network)
    elif weights != "none":
        pretrained.load_h5(network, weights, chosen.in_order)
    network = tf.keras.Model(pixels, network.output, name=name)
    return backbone(
        network, chosen.block_ends, chosen.attention_at, chosen.attention_depth
    )
