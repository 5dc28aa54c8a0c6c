import numpy as np
import pytest
import tensorflow as tf

from abe_tf.data.preprocessing import Preprocessing, decode

PREPROCESSING = Preprocessing(image_size=28, scaled_size=32, random_flip=True)


def png(pixels):
    return tf.io.encode_png(np.asarray(pixels, np.uint8))


def ramp(height, width):
    """Brightness grows from left to right, the same in every row."""
    row = np.linspace(20, 235, width).astype(np.uint8)
    return np.tile(row[np.newaxis, :, np.newaxis], [height, 1, 3])


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"),
    [(64, 64, 28, 28), (32, 64, 16, 28), (64, 16, 28, 8), (8, 16, 16, 28)],
)
def test_the_longer_side_is_scaled_and_the_rest_padded(height, width, rows, columns):
    image = np.full([height, width, 3], 200)
    pixels = PREPROCESSING.for_evaluation(png(image)).numpy()
    inside = pixels[:, :, 0] == 200
    assert inside.any(axis=1).sum() == rows
    assert inside.any(axis=0).sum() == columns
    assert np.array_equal(np.unique(pixels), [0, 200] if inside.sum() < 784 else [200])
    assert np.array_equal(inside, inside[::-1, ::-1])


def test_evaluation_crops_the_centre():
    pixels = PREPROCESSING.for_evaluation(png(ramp(32, 32))).numpy()
    np.testing.assert_array_equal(pixels, ramp(32, 32)[2:30, 2:30])


def test_training_crops_and_mirrors_at_random_and_repeatably():
    encoded = png(ramp(32, 32))
    mirrored, places = 0, set()
    for number in range(200):
        seed = tf.constant([7, 2 * number], tf.int64)
        pixels = PREPROCESSING.for_training(encoded, seed).numpy()
        again = PREPROCESSING.for_training(encoded, seed).numpy()
        np.testing.assert_array_equal(pixels, again)
        row = pixels[0, :, 0].astype(int)
        if row[0] > row[-1]:
            mirrored += 1
            row = row[::-1]
        places.add(row[0])
    # 5 places for a crop of 28 in 32; 5 deviations of a fair coin.
    assert len(places) == 5
    assert abs(mirrored - 100) < 5 * np.sqrt(200 * 0.25)


def test_without_flip_nothing_is_mirrored():
    preprocessing = Preprocessing(28, 32, random_flip=False)
    for number in range(20):
        seed = tf.constant([7, 2 * number], tf.int64)
        row = preprocessing.for_training(png(ramp(32, 32)), seed).numpy()[0, :, 0]
        assert row[0] < row[-1]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_grey_and_alpha_become_rgb(channels):
    image = np.random.default_rng(0).integers(0, 256, [5, 6, channels], np.uint8)
    colours = image[:, :, :1] if channels < 3 else image[:, :, :3]
    expected = np.broadcast_to(colours, [5, 6, 3])
    np.testing.assert_array_equal(decode(png(image)), expected)


def test_a_line_of_one_pixel_survives():
    pixels = PREPROCESSING.for_evaluation(png(np.full([1, 500, 3], 9)))
    assert int(tf.reduce_max(pixels)) == 9
