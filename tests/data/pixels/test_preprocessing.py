import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.data.pixels.decoding import decode
from abe_tf.data.pixels.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(image_size=28, scaled_size=32, random_flip=True)


def drawn(preprocessing, number):
    """What is drawn for the only image of a batch."""
    draws = preprocessing.sample(7, tf.constant(number, tf.int64), 1)
    return tf.nest.map_structure(lambda values: values[0], draws)


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
        draw = drawn(PREPROCESSING, number)
        pixels = PREPROCESSING.for_training(encoded, draw).numpy()
        again = PREPROCESSING.for_training(encoded, draw).numpy()
        np.testing.assert_array_equal(pixels, again)
        row = pixels[0, :, 0].astype(int)
        if row[0] > row[-1]:
            mirrored += 1
            row = row[::-1]
        places.add(row[0])
    # 5 places for a crop of 28 in 32; 5 deviations of a fair coin.
    assert len(places) == 5
    assert abs(mirrored - 100) < 5 * np.sqrt(200 * 0.25)


@pytest.mark.parametrize("shape", [(32, 32), (24, 32), (32, 11)])
def test_a_jpeg_of_the_scaled_size_is_cut_without_resampling(shape):
    """The short way for such files gives, to the bit, what cutting all of it gives."""
    encoded = jpeg(photo(*shape))
    whole = np.zeros([32, 32, 3], np.uint8)
    top, left = ((32 - side) // 2 for side in shape)
    whole[top : top + shape[0], left : left + shape[1]] = decode(encoded)
    for number in range(20):
        draw = drawn(PREPROCESSING, number)
        row, column = draw["corner"].numpy()
        expected = whole[row : row + 28, column : column + 28]
        if draw["mirrored"]:
            expected = expected[:, ::-1]
        pixels = PREPROCESSING.for_training(encoded, draw).numpy()
        np.testing.assert_array_equal(pixels, expected)


def test_draws_are_of_each_image_and_batch():
    """Nothing is drawn twice, whatever the size of the batches."""
    draws = [
        PREPROCESSING.sample(3, tf.constant(number, tf.int64), size)
        for number, size in ((0, 64), (1, 64))
    ]
    seeds = {tuple(seed) for draw in draws for seed in draw["seed"].numpy()}
    assert len(seeds) == 128
    first, second = (draw["corner"].numpy() for draw in draws)
    assert np.any(first != second)
    assert set(np.unique(first)) == set(range(5))


def test_without_flip_nothing_is_mirrored():
    preprocessing = Preprocessing(28, 32, random_flip=False)
    for number in range(20):
        draw = drawn(preprocessing, number)
        row = preprocessing.for_training(png(ramp(32, 32)), draw).numpy()[0, :, 0]
        assert row[0] < row[-1]


def test_a_line_of_one_pixel_survives():
    pixels = PREPROCESSING.for_evaluation(png(np.full([1, 500, 3], 9)))
    assert int(tf.reduce_max(pixels)) == 9


def jpeg(pixels):
    return tf.io.encode_jpeg(np.asarray(pixels, np.uint8), quality=95)


def photo(height, width):
    """Smooth colours with some structure."""
    y, x = np.mgrid[:height, :width] / 20
    waves = [np.sin(x + y), np.sin(2 * x - y), np.cos(x * y / 9)]
    return (127.5 * (1 + np.stack(waves, -1))).astype(np.uint8)


def whole_then_crop(preprocessing, image, corner):
    """What the paper does, in its order: scale all, pad all, crop."""
    height, width = image.shape[:2]
    size, longer = preprocessing.scaled_size, max(height, width)
    scaled = [max(1, round(side * size / longer)) for side in (height, width)]
    resized = tf.round(tf.image.resize(image, scaled, antialias=True))
    canvas = np.zeros([size, size, 3], int)
    top, left = ((size - side) // 2 for side in scaled)
    canvas[top : top + scaled[0], left : left + scaled[1]] = resized
    return canvas[corner:, corner:][: preprocessing.image_size][
        :, : preprocessing.image_size
    ]


@pytest.mark.parametrize("encode", [png, jpeg])
@pytest.mark.parametrize("shape", [(90, 120), (400, 37), (30, 30), (61, 256), (32, 8)])
def test_decoding_a_part_gives_what_scaling_the_whole_gives(encode, shape):
    encoded = encode(photo(*shape))
    image = decode(encoded).numpy()
    pixels = PREPROCESSING.for_evaluation(encoded).numpy().astype(int)
    expected = whole_then_crop(PREPROCESSING, image, 2)
    assert np.abs(pixels - expected).max() <= 1


def test_a_box_is_the_image():
    image = photo(60, 80)
    box = tf.constant([10.0, 5.0, 50.0, 45.0])
    pixels = PREPROCESSING.for_evaluation(png(image), box)
    expected = PREPROCESSING.for_evaluation(png(image[5:45, 10:50]))
    np.testing.assert_array_equal(pixels, expected)


def test_a_box_beyond_the_image_ends_at_its_border():
    image = photo(60, 80)
    pixels = PREPROCESSING.for_evaluation(png(image), tf.constant([40.0, 0, 200, 90]))
    expected = PREPROCESSING.for_evaluation(png(image[:, 40:]))
    np.testing.assert_array_equal(pixels, expected)


def test_a_stretched_box_fills_the_square():
    stretched = dataclasses.replace(PREPROCESSING, stretch=True)
    image = np.full([20, 90, 3], 255)
    assert stretched.for_evaluation(png(image)).numpy().min() == 255
    assert PREPROCESSING.for_evaluation(png(image)).numpy().min() == 0


def test_crops_of_a_scaled_image_are_the_crops_of_the_file():
    encoded = jpeg(photo(90, 120))
    scaled = PREPROCESSING.scaled(encoded)
    assert scaled.shape == (32, 32, 3)
    for number in range(10):
        draw = drawn(PREPROCESSING, number)
        direct = PREPROCESSING.for_training(encoded, draw).numpy().astype(int)
        cut = PREPROCESSING.crop_for_training(scaled, draw).numpy()
        assert np.abs(direct - cut).max() <= 1
    centre = PREPROCESSING.for_evaluation(encoded).numpy().astype(int)
    assert np.abs(centre - PREPROCESSING.crop_for_evaluation(scaled)).max() <= 1


def test_random_resized_crops_fill_the_square_with_parts_of_the_image():
    preprocessing = dataclasses.replace(PREPROCESSING, random_resized_crop=True)
    widths = set()
    for number in range(60):
        draw = drawn(preprocessing, number)
        pixels = preprocessing.for_training(png(ramp(60, 200)), draw).numpy()
        row = pixels[0, :, 0].astype(int)
        assert row.min() >= 20
        widths.add(int(row.max() - row.min()))
    # A fifth of the area at least, and at most 4/3 of the height wide.
    assert 200 * 42 / 200 <= min(widths) < max(widths) <= 215 * 80 / 200
    assert len(widths) > 15


def test_color_jitter_changes_colours_repeatably():
    plain = dataclasses.replace(PREPROCESSING, random_flip=False)
    jittered = dataclasses.replace(plain, color_jitter=0.4)
    encoded, means = png(np.full([32, 32, 3], 120)), set()
    for number in range(20):
        draw = drawn(jittered, number)
        pixels = jittered.for_training(encoded, draw).numpy()
        np.testing.assert_array_equal(pixels, jittered.for_training(encoded, draw))
        means.add(float(pixels.mean()))
    assert len(means) > 10
    assert 120 * 0.6 - 1 <= min(means) < max(means) <= 120 * 1.4 + 1
    np.testing.assert_array_equal(
        jittered.for_evaluation(encoded), plain.for_evaluation(encoded)
    )


@pytest.mark.parametrize("stretch", [False, True])
@pytest.mark.parametrize("size", [(40, 60), (64, 64), (301, 90), (700, 500)])
@pytest.mark.parametrize("box", [None, (3.5, 2.0, 30.0, 31.5)])
def test_all_pixels_give_the_square_that_the_file_gives(size, box, stretch):
    pixels = np.random.default_rng(0).integers(0, 256, [*size, 3], np.uint8)
    preprocessing = Preprocessing(32, 36, random_flip=False, stretch=stretch)
    box = None if box is None else tf.constant(box)
    for encoded in (tf.io.encode_jpeg(pixels), tf.io.encode_png(pixels)):
        expected = preprocessing.for_evaluation(encoded, box)
        found = preprocessing.of_whole(decode(encoded), box)
        np.testing.assert_array_equal(found, expected)
