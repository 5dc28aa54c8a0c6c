"""Keras still has the names that are not public, and they mean what they did."""

import numpy as np
import tensorflow as tf

from abe_tf.training import keras_internals, lamb


def test_build_legacy():
    optimizer = lamb.create(0.1, 0.01, ["bias"])
    variable = tf.Variable([1.0, 2.0], name="kernel")
    keras_internals.build_legacy(optimizer, [variable])
    assert {v.shape.rank for v in optimizer.variables()} == {0, 1}
    assert len(optimizer.variables()) == 3  # steps, and two moments
    before = [v.numpy() for v in optimizer.variables()]
    optimizer.apply_gradients([(tf.constant([1.0, 1.0]), variable)])
    assert len(optimizer.variables()) == len(before)


def test_moving_average():
    optimizer = tf.keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75)
    trained, other = tf.Variable([2.0, 4.0]), tf.Variable([0.0])
    optimizer.build([trained])
    optimizer.apply_gradients([(tf.constant([1.0, 1.0]), trained)])
    average = keras_internals.moving_average(optimizer, trained)
    # Keras begins at the first values: 0.75 of [2, 4] and 0.25 of [1, 3].
    np.testing.assert_allclose(average, [1.75, 3.75])
    assert keras_internals.moving_average(optimizer, other) is None
