import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.data import DataConfig
from abe_tf.data import datasets
from abe_tf.data.builders import digits


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return str(tmp_path_factory.mktemp("tfds"))


def test_no_handwritten_digit_is_in_both_halves():
    first, second = digits._handwriting()
    assert sum(map(len, first)) + sum(map(len, second)) == 1797
    for ours, theirs in zip(first, second, strict=True):
        both = np.concatenate([ours, theirs]).reshape(-1, 64)
        drawings = np.unique(both, axis=0)
        assert len(drawings) == len(both)


def test_the_data_set_is_made_once_and_splits_the_numbers(data_dir, capsys):
    splits = datasets.load(DataConfig(data_dir=data_dir))
    assert "once" in capsys.readouterr().out
    again = datasets.load(DataConfig(data_dir=data_dir))
    assert "once" not in capsys.readouterr().out
    assert np.array_equal(np.unique(splits.train.labels), np.arange(50))
    assert np.array_equal(np.unique(splits.test.labels), np.arange(50, 100))
    counts = np.unique(splits.test.labels, return_counts=True)[1]
    assert set(counts) == {digits.IMAGES_PER_CLASS}
    key = tf.constant(again.test.keys[7])
    assert again.test.read(key) == splits.test.read(key)


def test_of_two_that_make_the_data_set_at_once_the_slower_one_reads_it(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(digits, "IMAGES_PER_CLASS", 2)
    drawings = digits._handwriting

    def made_meanwhile():
        monkeypatch.setattr(digits, "_handwriting", drawings)
        digits.load(str(tmp_path))
        return drawings()

    monkeypatch.setattr(digits, "_handwriting", made_meanwhile)
    slower = digits.load(str(tmp_path))
    assert len(slower[0]) == 200
    assert slower == digits.load(str(tmp_path))
    assert [path.name for path in (tmp_path / "abe_digits").iterdir()] == ["1.0.0"]


def test_an_image_is_a_function_of_the_seed_and_of_its_half(data_dir):
    splits = datasets.load(DataConfig(data_dir=data_dir))
    halves = digits._handwriting()
    for examples, half, number in ((splits.train, 0, 37), (splits.test, 1, 82)):
        (first, *_) = np.flatnonzero(examples.labels == number)
        encoded = examples.read(tf.constant(examples.keys[first]))
        rng = np.random.default_rng([digits._SEED, number, 0])
        expected = digits.compose(number, halves[half], rng)
        np.testing.assert_array_equal(tf.io.decode_png(encoded)[:, :, 0], expected)
