"""What computes in bfloat16, and what does not."""

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.model import ModelConfig
from abe_tf.models.backbones import SPATIAL
from abe_tf.models.build import build
from abe_tf.models.lower_precision import in_bfloat16

# What is pooled, of 64 pixels.
SMALLEST = {"inception_small": (8, 8), "mobilenet": (2, 2)}


def leaves(network):
    """All layers but the networks within the network, with the parts' names."""
    for layer in network.layers:
        if isinstance(layer, tf.keras.Model):
            yield from ((layer.name, inner) for _, inner in leaves(layer))
        else:
            yield layer.name, layer


@pytest.mark.parametrize("kind", ["none", "heads", "abe"])
@pytest.mark.parametrize("encoder", ["inception_small", "mobilenet"])
def test_only_convolutions_behind_s_compute_in_bfloat16(kind, encoder):
    learners = 1 if kind == "none" else 2
    network = build(
        ModelConfig(
            encoder=encoder,
            mobilenet_alpha=0.25,
            ensemble=kind,
            num_learners=learners,
            embedding_dim=16,
            freeze_batch_norm=True,
        ),
        64,
    )
    lowered = in_bfloat16(network)
    kinds = set()
    pairs = zip(leaves(network), leaves(lowered), strict=True)
    for (part, before), (_, after) in pairs:
        assert before.name == after.name
        assert before.compute_dtype == before.dtype
        if after.compute_dtype == "bfloat16":
            assert part != SPATIAL
            kinds.add(type(after))
        else:
            pooled = after.get_output_shape_at(0)[1:3] == SMALLEST[encoder]
            kept = part == SPATIAL or pooled
            assert kept or type(after) is not tf.keras.layers.Conv2D
    assert kinds == {tf.keras.layers.Conv2D}
    for before, after in zip(network.variables, lowered.variables, strict=True):
        assert (before.shape, before.trainable) == (after.shape, after.trainable)
        assert after.dtype == "float32"
        np.testing.assert_array_equal(before, after)


def test_where_g_keeps_the_size_of_s_all_its_convolutions_are_lowered():
    config = ModelConfig(
        encoder="mobilenet",
        mobilenet_alpha=0.25,
        attention_at="conv_pw_12_relu",
        num_learners=2,
        embedding_dim=16,
    )
    lowered = in_bfloat16(build(config, 64))
    layers = [layer for _, layer in leaves(lowered)]
    found = [layer.name for layer in layers if layer.compute_dtype == "bfloat16"]
    masks = ["mask_convolution_0", "mask_convolution_1"]
    assert sorted(found) == ["conv_pw_13", "conv_pw_13", *masks]


@pytest.mark.parametrize("kind", ["heads", "abe"])
def test_the_embeddings_stay_close(kind):
    config = ModelConfig(ensemble=kind, num_learners=2, embedding_dim=16)
    network = build(config, 32)
    lowered = in_bfloat16(network)
    pixels = np.random.default_rng(0).integers(0, 256, [4, 32, 32, 3], dtype=np.uint8)
    before, after = network(pixels), lowered(pixels)
    assert after.dtype == tf.float32
    assert np.sum(before * after, -1).min() > 0.999
    assert np.abs(before - after).max() > 1e-5
    np.testing.assert_array_equal(
        network.get_layer(SPATIAL)(pixels), lowered.get_layer(SPATIAL)(pixels)
    )
