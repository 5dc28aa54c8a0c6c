"""Where an encoder can be cut, and what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.model import ModelConfig
from abe_tf.errors import InputError
from abe_tf.models import parts
from abe_tf.models.build import build, encoder
from abe_tf.models.cost import cost

SIZE = 32


def small(**flags):
    flags.setdefault("encoder", "mobilenet")
    flags.setdefault("mobilenet_alpha", 0.25)
    return ModelConfig(num_learners=2, embedding_dim=8, **flags)


def backbone(**flags):
    return encoder(small(**flags), 64, "none")


def test_places_are_where_everything_passes():
    """Cutting there and joining the parts gives the encoder's own features."""
    whole = backbone(encoder="inception_small")
    pixels = np.random.default_rng(0).integers(0, 256, [2, 64, 64, 3], np.uint8)
    expected = whole.network(pixels)
    for place in whole.places:
        cut = whole.with_attention(place, 0)
        np.testing.assert_allclose(
            cut.rest()(cut.spatial()(pixels)), expected, atol=1e-5
        )


def test_a_branch_is_no_place():
    for place in backbone(encoder="mobilenet_v2").places:
        # Blocks 1 and 2 are joined by an addition that passes by the second one.
        assert place != "block_2_project_BN"


@pytest.mark.parametrize(
    ("at", "depth", "message"),
    [
        ("conv_dw_6", None, "inside a block.*nearest: conv_pw_5_relu and conv_pw_6_r"),
        ("conv_pw_6", None, "nearest: conv_pw_5_relu and conv_pw_6_relu"),
        ("inception_4a", None, "which mobilenet has not"),
        ("conv_pw_13_relu", None, "nearest: conv_pw_12_relu"),
        ("conv_pw_9_relu", 3, "Use 2, or --attention_at=conv_pw_8_relu"),
        ("conv_pw_5_relu", 1, "Received: 1; behind conv_pw_5_relu there are 0"),
        (None, 12, "Use 5, or another encoder"),
    ],
)
def test_what_is_no_place_is_refused_with_the_nearest(at, depth, message):
    with pytest.raises(InputError, match=message) as caught:
        backbone().with_attention(at, depth)
    assert "\n" not in str(caught.value)


def test_a_place_takes_as_many_blocks_as_keep_the_size():
    assert backbone().with_attention("conv_pw_8_relu", None).attention_depth == 3
    assert backbone().with_attention("conv_pw_6_relu", None).attention_depth == 5
    assert backbone().with_attention("conv_pw_12_relu", None).attention_depth == 1


def test_depth_0_leaves_the_masks_convolution_alone():
    network = build(small(attention_depth=0), SIZE)
    assert "attention_trunk" not in [layer.name for layer in network.layers]
    deeper = build(small(attention_depth=1), SIZE)
    block = 128 * 9 + 4 * 128 + 128 * 128 + 4 * 128
    assert deeper.count_params() - network.count_params() == block


def test_frozen_layers_stay_and_the_rest_trains():
    config = small(freeze_until="conv_pw_4_relu", attention_at="conv_pw_6_relu")
    network = build(config, SIZE)
    trainable = {variable.name for variable in network.trainable_variables}
    assert not any(name.startswith(("conv1", "conv_pw_4")) for name in trainable)
    assert any(name.startswith("conv_pw_5") for name in trainable)
    assert any(name.startswith("mask_convolution") for name in trainable)
    with pytest.raises(InputError, match="must not be behind the place"):
        build(small(freeze_until="conv_pw_7_relu"), SIZE)


@pytest.mark.parametrize("depth", [0, 5])
def test_the_parts_are_the_whole(depth):
    network = build(small(attention_depth=depth), SIZE)
    found = parts.costs(network).values()
    whole = cost(network)
    assert sum(part.parameters for part in found) == whole.parameters
    assert sum(part.multiply_adds for part in found) == whole.multiply_adds


def test_heads_share_what_is_before_the_place():
    config = small(ensemble="heads", attention_at="conv_pw_12_relu")
    network = build(config, SIZE)
    assert network.get_layer("spatial").output_shape[-1] == 256
    assert isinstance(network.get_layer("embedding_features_1"), tf.keras.Model)
