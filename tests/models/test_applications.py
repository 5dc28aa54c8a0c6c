import pathlib

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.errors import InputError
from abe_tf.models.applications import application

SIZE = 32
SHARED = pathlib.Path(__file__).parents[3] / "shared/weights/mobilenet_7_5_224_tf.h5"


def keras_mobilenet(alpha, **kwargs):
    return tf.keras.applications.MobileNet(
        input_shape=(SIZE, SIZE, 3), alpha=alpha, **kwargs
    )


def mobilenet(image_size, alpha, weights):
    return application("mobilenet", image_size, weights, alpha=alpha)


def features(backbone, pixels):
    return backbone.rest()(backbone.spatial()(pixels)).numpy()


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, [2, SIZE, SIZE, 3], np.uint8)


@pytest.mark.parametrize("include_top", [True, False])
def test_weights_of_a_file_give_the_features_of_keras(tmp_path, pixels, include_top):
    theirs = keras_mobilenet(0.25, weights=None, include_top=include_top)
    path = str(tmp_path / "weights.h5")
    theirs.save_weights(path)
    backbone = mobilenet(SIZE, 0.25, path)
    last = theirs.get_layer("conv_pw_13_relu").output
    scaled = tf.keras.applications.mobilenet.preprocess_input(pixels.astype("f4"))
    expected = tf.keras.Model(theirs.input, last)(scaled)
    np.testing.assert_allclose(features(backbone, pixels), expected, atol=1e-5)


def test_attention_sits_on_the_last_features_of_a_sixteenth():
    backbone = mobilenet(224, 0.25, "none")
    assert backbone.spatial().output_shape == (None, 14, 14, 128)
    assert backbone.trunk(False).output_shape == (None, 14, 14, 128)
    assert backbone.rest().output_shape == (None, 7, 7, 256)


def test_a_file_of_another_width_is_refused(tmp_path):
    path = str(tmp_path / "weights.h5")
    keras_mobilenet(0.5, weights=None, include_top=False).save_weights(path)
    with pytest.raises(InputError, match="whose layer conv1 has weights of shape"):
        mobilenet(SIZE, 0.25, path)


def test_a_file_of_another_network_is_refused(tmp_path):
    path = str(tmp_path / "weights.h5")
    tf.keras.Sequential([tf.keras.layers.Dense(3, input_shape=[2])]).save_weights(path)
    with pytest.raises(InputError, match="weights of shape none instead of"):
        mobilenet(SIZE, 0.25, path)


def test_a_file_that_is_no_weight_file_is_refused(tmp_path):
    path = tmp_path / "weights.h5"
    path.write_text("not HDF5")
    with pytest.raises(InputError, match="which cannot be read"):
        mobilenet(SIZE, 0.25, str(path))


@pytest.mark.skipif(not SHARED.exists(), reason=f"needs {SHARED.name} in ../shared")
def test_shared_imagenet_weights_load_where_shared_is_present():
    backbone = mobilenet(SIZE, 0.75, str(SHARED))
    kernel = backbone.network.get_layer("conv1").kernel
    # Trained filters, unlike Glorot's, are far from uniform within their range.
    assert float(tf.math.reduce_std(kernel) / tf.reduce_max(abs(kernel))) < 0.35
