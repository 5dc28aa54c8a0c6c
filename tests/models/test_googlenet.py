import numpy as np
import pytest
import tensorflow as tf

from abe_tf.models import googlenet
from abe_tf.models.layers import LocalResponseNormalization, PixelNormalization


def caffe_max_pool(x):
    """3 x 3, stride 2: Caffe's number of windows, the last one cut at the border."""
    size = int(np.ceil((x.shape[0] - 3) / 2)) + 1
    rows = [
        [x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max(axis=(0, 1)) for j in range(size)]
        for i in range(size)
    ]
    return np.array(rows)


@pytest.mark.parametrize("size", [6, 7, 8, 9])
def test_pooling_rounds_as_caffe_does(size):
    x = np.random.default_rng(size).random([1, size, size, 2], np.float32)
    pooled = googlenet._max_pool(tf.constant(x), "pool")
    np.testing.assert_array_equal(pooled[0], caffe_max_pool(x[0]))


def test_local_response_normalisation_divides_alpha_by_the_window():
    x = np.random.default_rng(0).normal(0, 100, [1, 2, 2, 8]).astype(np.float32)
    squares = np.pad(x**2, [(0, 0)] * 3 + [(2, 2)])
    window = sum(squares[..., i : i + 8] for i in range(5))
    expected = x / (1 + 1e-4 / 5 * window) ** 0.75
    np.testing.assert_allclose(LocalResponseNormalization()(x), expected, rtol=1e-5)


def test_pixels_become_bgr_minus_the_means():
    layer = PixelNormalization((104.0, 117.0, 123.0), 1.0, bgr=True)
    red = np.array([[[[255, 0, 0]]]], np.uint8)
    np.testing.assert_array_equal(layer(red)[0, 0, 0], [-104, -117, 132])


def test_attention_sits_on_pool3_and_the_trunk_keeps_its_size():
    backbone = googlenet.googlenet(224)
    assert backbone.spatial().output_shape == (None, 14, 14, 480)
    assert backbone.trunk(False).output_shape == (None, 14, 14, 832)
    assert backbone.rest().output_shape == (None, 7, 7, 1024)
    pools = [x.name for x in backbone.trunk(False).layers if "pool" in x.name]
    assert all(name.endswith(("_pool", "_pool_proj")) for name in pools)
