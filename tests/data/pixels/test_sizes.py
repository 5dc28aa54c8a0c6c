"""Images that are not square: from the flag to what the network and an export see."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.data import DataConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.sizes import as_text
from abe_tf.data.pixels.preprocessing import Preprocessing
from abe_tf.errors import InputError
from abe_tf.models.build import build
from abe_tf.runs.flags import RunFlags

TALL = Preprocessing((28, 14), (32, 16), random_flip=False)


def png(pixels):
    return tf.io.encode_png(pixels)


@pytest.mark.parametrize(
    ("typed", "size", "scaled"),
    [
        ("224", 224, 256),
        ("256x128", (256, 128), (293, 146)),
        ("64x64", 64, 73),
        ("32x48", (32, 48), (37, 55)),
    ],
)
def test_a_flag_is_a_side_or_height_and_width(typed, size, scaled):
    flags = RunFlags().changed({"image_size": typed})
    assert flags.data.image_size == size and flags.data.scaled_size == scaled
    assert RunFlags.parse(flags.text()) == flags
    same = {"64x64": "64"}.get(typed, typed)
    assert f"--image_size={same}\n" in flags.text()
    assert as_text(size) == same


@pytest.mark.parametrize("typed", ["256x", "x128", "256x128x3", "-1x2", "a", "2.5"])
def test_what_is_no_size_is_refused(typed):
    with pytest.raises(InputError, match="image_size"):
        RunFlags().changed({"image_size": typed})


def test_sizes_have_their_bounds():
    with pytest.raises(InputError, match="--image_size must be at least 16"):
        DataConfig(image_size=(256, 8))
    with pytest.raises(InputError, match="longer side of --image_size. Received: 200"):
        DataConfig(image_size=(256, 128), resize_size=200)
    with pytest.raises(InputError, match=r"at least 32 .* Received: 64x24"):
        ModelConfig(encoder="mobilenet").check_image_size((64, 24))


def grey(height, width):
    drawn = np.random.default_rng(0).integers(60, 200, [height, width, 1], np.uint8)
    return np.repeat(drawn, 3, 2)


def test_the_centre_of_what_fits_is_as_it_is():
    image = grey(32, 16)
    found = TALL.for_evaluation(png(image)).numpy()
    np.testing.assert_array_equal(found, image[2:30, 1:15])
    np.testing.assert_array_equal(TALL.of_whole(tf.constant(image)), found)
    scaled = TALL.scaled(png(image))
    np.testing.assert_array_equal(scaled, image)
    np.testing.assert_array_equal(TALL.crop_for_evaluation(scaled), found)


def test_a_plain_jpeg_of_the_size_is_decoded_alone():
    image = np.full([32, 16, 3], 90, np.uint8)
    jpeg = tf.io.encode_jpeg(image, quality=95)
    np.testing.assert_allclose(
        TALL.for_evaluation(jpeg).numpy().astype(int), 90, atol=1
    )


@pytest.mark.parametrize(
    ("sides", "shown"), [((64, 32), (28, 14)), ((32, 32), (16, 14)), ((64, 8), (28, 4))]
)
def test_others_are_scaled_into_it_and_padded(sides, shown):
    white = np.full([*sides, 3], 255, np.uint8)
    found = TALL.for_evaluation(png(white)).numpy()[..., 0] > 127
    assert found.shape == (28, 14)
    assert (found.any(1).sum(), found.any(0).sum()) == shown
    stretched = dataclasses.replace(TALL, stretch=True)
    assert stretched.for_evaluation(png(white)).numpy().min() == 255


@pytest.mark.parametrize("resized", [False, True])
def test_training_crops_from_anywhere(resized):
    tall = dataclasses.replace(TALL, random_resized_crop=resized)
    image = grey(32, 16)
    drawn = tall.sample(0, tf.constant(5, tf.int64), 200)
    corners = drawn["corner"].numpy()
    assert corners.min(0).tolist() == [0, 0] and corners.max(0).tolist() == [4, 2]
    for number in range(3):
        one = tf.nest.map_structure(lambda values, n=number: values[n], drawn)
        crop = tall.for_training(png(image), one).numpy()
        assert crop.shape == (28, 14, 3)
        if not resized:
            top, left = corners[number]
            expected = image[top : top + 28, left : left + 14]
            np.testing.assert_array_equal(crop, expected)
            cut = tall.crop_for_training(tf.constant(image), one)
            np.testing.assert_array_equal(cut, expected)


def test_squares_draw_what_they_drew():
    """Of this seed, as an earlier revision drew them."""
    square = Preprocessing(28, 32, random_flip=True)
    drawn = square.sample(3, tf.constant(2, tf.int64), 3)
    assert drawn["corner"].numpy().tolist() == [[0, 2], [2, 3], [1, 1]]


@pytest.mark.parametrize("encoder", ["inception_small", "googlenet", "mobilenet"])
@pytest.mark.parametrize("ensemble", ["abe", "heads", "hdc"])
def test_networks_see_them(encoder, ensemble):
    config = ModelConfig(
        encoder=encoder,
        mobilenet_alpha=0.25 if encoder == "mobilenet" else 1.0,
        ensemble=ensemble,
        num_learners=2,
        embedding_dim=8,
    )
    network = build(config, (64, 32))
    assert network.input_shape == (None, 64, 32, 3)
    pixels = np.random.default_rng(0).integers(0, 256, [2, 64, 32, 3]).astype(np.uint8)
    assert network(pixels).shape == (2, 2, 4)
