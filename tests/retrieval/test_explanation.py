"""Why two images match: the parts of the places are the cosine, for every network."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import abe_tf
from abe_tf.config.data import DataConfig
from abe_tf.config.model import ModelConfig
from abe_tf.data.pixels.preprocessing import Preprocessing
from abe_tf.models.build import build
from abe_tf.models.places import PlacesNetwork
from abe_tf.retrieval.explanation import Places, explain
from abe_tf.runs.trained import TrainedModel

KINDS = {
    "abe": {"ensemble": "abe", "num_learners": 3, "embedding_dim": 24},
    "heads": {"ensemble": "heads", "num_learners": 3, "embedding_dim": 24},
    "plain": {"ensemble": "none", "num_learners": 1, "embedding_dim": 8},
    "features": {"ensemble": "none", "num_learners": 1, "embedding_dim": 0},
}


def check(network, side, seed=0):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, [2, side, side, 3], np.uint8)
    for variable in network.trainable_variables:
        if "bias" in variable.name:
            variable.assign(rng.normal(0, 0.1, variable.shape))
    parts, bias = (one.numpy() for one in PlacesNetwork(network)(pixels))
    embeddings = network(pixels, training=False).numpy()
    np.testing.assert_allclose(parts.sum((2, 3)) + bias, embeddings, atol=1e-5)
    one, other = (
        Places(pixels[i], parts[i], bias[i], np.zeros(parts.shape[2:4])) for i in (0, 1)
    )
    why = explain(one, other)
    cosines = np.einsum("md,md->m", *embeddings)
    np.testing.assert_allclose(why.cosines, cosines, atol=1e-5)
    for half in why.sides:
        np.testing.assert_allclose(
            half.maps.sum((1, 2)) + half.bias, cosines, atol=1e-5
        )
    return why


@pytest.mark.parametrize("kind", KINDS)
def test_parts_add_up_to_the_cosine(kind):
    tf.keras.utils.set_random_seed(1)
    network = build(ModelConfig(**KINDS[kind]), image_size=48)
    why = check(network, 48)
    learners = network.output_shape[1]
    assert all(side.maps.shape == (learners, 6, 6) for side in why.sides)
    biased = kind != "features"
    assert (np.abs(why.sides[0].bias).max() > 1e-3) == biased


def test_a_place_has_what_its_part_and_the_other_image_have():
    rng = np.random.default_rng(0)
    parts = rng.normal(size=[2, 2, 2, 3, 4])
    bias = rng.normal(size=[2, 2, 4])
    outside = np.array([[1, 0, 0], [0.5, 0, 0]])
    view = np.zeros([8, 8, 3], np.uint8)
    one, other = (Places(view, parts[i], bias[i], outside) for i in (0, 1))
    why = explain(one, other)
    for m in range(2):
        ours, whole = (parts[i, m].sum((0, 1)) + bias[i, m] for i in (0, 1))
        whole /= np.linalg.norm(ours) * np.linalg.norm(whole)
        assert why.cosines[m] == pytest.approx(ours @ whole)
        for h in range(2):
            for w in range(3):
                wanted = parts[0, m, h, w] @ whole
                assert why.sides[0].maps[m, h, w] == pytest.approx(wanted)
        padding = why.sides[0].maps[m, 0, 0] + why.sides[0].maps[m, 1, 0] / 2
        assert why.sides[0].padding[m] == pytest.approx(padding)
    squares = [
        np.linalg.norm(one.embedding[m]) * np.linalg.norm(other.embedding[m])
        for m in range(2)
    ]
    whole = np.sum(one.embedding * other.embedding) / np.sum(squares)
    assert why.cosines @ why.shares == pytest.approx(whole)
    assert one.not_split == []
    assert Places(view, 0 * parts[0], bias[0], outside).not_split == [1, 2]


@pytest.fixture(scope="module")
def model():
    tf.keras.utils.set_random_seed(0)
    network = build(ModelConfig(num_learners=2, embedding_dim=16), image_size=32)
    return TrainedModel(network, Preprocessing(32, 32, False), DataConfig(), "step-0")


def test_what_lies_beside_a_narrow_photo_is_told(model, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, [40, 20, 3], np.uint8)
    path = tmp_path / "narrow.png"
    path.write_bytes(tf.io.encode_png(pixels).numpy())
    square = tmp_path / "square.png"
    square.write_bytes(tf.io.encode_png(pixels[:20]).numpy())
    why = model.explain(path, square)
    one, other = why.sides
    # A quarter of the square on each side.
    assert one.maps.shape == (2, 4, 4)
    np.testing.assert_allclose(
        one.padding, one.maps[:, :, [0, 3]].sum((1, 2)), atol=1e-6
    )
    np.testing.assert_array_equal(other.padding, 0)
    embeddings = model.embed([path, square])
    np.testing.assert_allclose(
        why.cosines, np.einsum("md,md->m", *embeddings), atol=1e-5
    )
    assert one.view.shape == (32, 32, 3)


def test_a_missing_photo_is_said_in_one_line(model, tmp_path):
    with pytest.raises(abe_tf.errors.InputError, match="cannot be read"):
        model.explain(tmp_path / "none.png", tmp_path / "none.png")


def test_bfloat16_networks_are_split_too(model):
    network = build(
        dataclasses.replace(
            ModelConfig(num_learners=2, embedding_dim=16), precision="bfloat16"
        ),
        image_size=32,
    )
    pixels = np.random.default_rng(0).integers(0, 256, [4, 32, 32, 3], np.uint8)
    parts, bias = PlacesNetwork(network)(pixels)
    whole = parts.numpy().sum((2, 3)) + bias
    # The network pools and multiplies in bfloat16, the split in float32.
    np.testing.assert_allclose(whole, network(pixels, training=False), atol=0.02)
