"""What a split's embeddings carry from its photos into what is measured."""

import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.data import datasets
from abe_tf.data.pipeline import Loader
from abe_tf.data.pixels.preprocessing import Preprocessing
from abe_tf.errors import InputError
from abe_tf.reports import text
from abe_tf.retrieval import evaluation
from abe_tf.retrieval.embedding import Embedder
from abe_tf.runs import embeddings
from abe_tf.runs.trained import TrainedModel
from tests.data.test_domains import listed


def flat(side):
    """A network of one learner without weights: the pixels, at unit length."""
    pixels = tf.keras.Input([side, side, 3], dtype=tf.uint8)
    values = tf.cast(pixels, tf.float32) - 128
    lines = tf.reshape(values, [-1, 1, side * side * 3])
    return tf.keras.Model(pixels, tf.math.l2_normalize(lines, -1))


def test_cameras_and_places_reach_the_measures(tmp_path):
    data = listed(tmp_path, domain=["x", "y"], camera=["1", "2", "2", "1"])
    splits = datasets.load(dataclasses.replace(data, test_domains=("y",)))
    model = TrainedModel(flat(8), Preprocessing(8, 8, False), data, "step-0")
    archive = embeddings.embed(model, splits, "test", 3)
    np.testing.assert_array_equal(archive.queries.cameras, splits.test.cameras)
    assert len(archive.queries) == len(splits.test) == 8
    assert archive.about["known_classes"] == "photos of y, where none trained"
    found = evaluation.evaluate(archive, (1,), 512, False)
    said = text.measures_as_text(found)
    assert "cmc@10" in said
    assert "leave out photos of a query's class by its own camera" in said


def test_a_photo_that_breaks_behind_the_look_at_all_is_named(tmp_path, capsys):
    data = listed(tmp_path)
    test = datasets.load(data).test
    model = TrainedModel(flat(8), Preprocessing(8, 8, False), data, "step-0")
    path = test.files[5]
    with open(path, "rb") as file:
        whole = file.read()
    with open(path, "wb") as file:
        file.write(whole[:40] + bytes(8) + whole[48:])
    with pytest.raises(InputError, match=rf"Received: .*'{re.escape(path)}'"):
        Embedder(model.network)(Loader(test, model.preprocessing), 2)
    # It was among those due, so that not all are looked at once more.
    assert "Looking for" not in capsys.readouterr().out
