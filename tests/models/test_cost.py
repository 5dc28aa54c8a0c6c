import pytest
import tensorflow as tf

from abe_tf.models.build import build
from abe_tf.models.cost import cost
from abe_tf.paper import COMPARED_COSTS, COSTS
from abe_tf.summary import model_of


@pytest.mark.parametrize("row", COSTS, ids=lambda row: row.name)
def test_every_printed_digit_of_the_papers_table(row):
    built = cost(build(model_of(row.name), image_size=224))
    assert f"{built.parameters / 1e7:.2f}" == row.parameters
    assert f"{built.multiply_adds / 1e9:.2f}" == row.multiply_adds


@pytest.mark.parametrize("row", COMPARED_COSTS, ids=lambda row: row.name)
def test_ensembles_that_are_compared_cost_what_the_report_draws(row):
    built = cost(build(model_of(row.name.removeprefix("A-")), image_size=224))
    assert f"{built.parameters / 1e7:.2f}" == row.parameters
    assert f"{built.multiply_adds / 1e9:.2f}" == row.multiply_adds


def test_multiply_adds_are_those_counted_by_hand():
    pixels = tf.keras.Input([8, 8, 3])
    x = tf.keras.layers.Conv2D(4, 3, strides=2, padding="same")(pixels)
    x = tf.keras.layers.DepthwiseConv2D(3, padding="same")(x)
    x = tf.keras.layers.GlobalAveragePooling2D()(x)
    x = tf.keras.layers.Dense(10)(x)
    counted = cost(tf.keras.Model(pixels, x))
    convolution, depthwise, dense = 4 * 4 * 4 * 27, 4 * 4 * 4 * 9, 4 * 10
    assert counted.multiply_adds == convolution + depthwise + dense
    assert counted.parameters == (27 * 4 + 4) + (9 * 4 + 4) + (4 * 10 + 10)
