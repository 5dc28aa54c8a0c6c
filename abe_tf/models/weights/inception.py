"""The two public weight files of Inception v1, name by name.

BVLC's GoogLeNet (Caffe) fills `googlenet`, TF-Slim's checkpoint `inception_bn`.
"""

from __future__ import annotations

import contextlib
import os
import tarfile
import tempfile
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from abe_tf.errors import InputError
from abe_tf.models.weights import pretrained
from abe_tf.models.weights.caffemodel import read_blobs
from abe_tf.storage.files import check_place

_CAFFE_URL = "http://dl.caffe.berkeleyvision.org/bvlc_googlenet.caffemodel"
_CAFFE_SHA1 = "405fc5acd08a3bb12de8ee5e23a96bec22f08204"
# No checksum is published for it; names and shapes are checked.
_SLIM_URL = "http://download.tensorflow.org/models/inception_v1_2016_08_28.tar.gz"
_SLIM_CHECKPOINT = "inception_v1.ckpt"
# Four times what it has.
_SLIM_MOST_BYTES = 128 * 2**20
_STEM = {
    "conv1_7x7_s2": "Conv2d_1a_7x7",
    "conv2_3x3_reduce": "Conv2d_2b_1x1",
    "conv2_3x3": "Conv2d_2c_3x3",
}
_BRANCHES = {
    "1x1": "Branch_0/Conv2d_0a_1x1",
    "3x3_reduce": "Branch_1/Conv2d_0a_1x1",
    "3x3": "Branch_1/Conv2d_0b_3x3",
    "5x5_reduce": "Branch_2/Conv2d_0a_1x1",
    "5x5": "Branch_2/Conv2d_0b_3x3",
    "pool_proj": "Branch_3/Conv2d_0b_1x1",
}
# The one name that TF-Slim's pattern does not give.
_IRREGULAR = {
    "Mixed_5b/Branch_2/Conv2d_0b_3x3": "Mixed_5b/Branch_2/Conv2d_0a_3x3",
}


def load_caffe(network: tf.keras.Model, weights: str) -> None:
    """Fills `googlenet`.

    Args:
      network: The encoder.
      weights: "imagenet", or the path of a `.caffemodel` or of a Keras weight file.

    Raises:
      InputError: The file cannot be had, cannot be read, or is of another network.
    """
    pretrained.load_converted(
        network,
        weights,
        lambda: pretrained.download(_CAFFE_URL, _CAFFE_SHA1),
        _from_caffe,
    )


def _from_caffe(network: tf.keras.Model, path: str) -> pretrained.Weights:
    blobs = read_blobs(path)
    # conv1/7x7_s2 in Caffe is conv1_7x7_s2 here. Files of the older generation give a
    # bias of shape [1, 1, 1, out].
    return {
        name.replace("/", "_"): [_to_keras(arrays[0]), *(a.ravel() for a in arrays[1:])]
        for name, arrays in blobs.items()
    }


def _to_keras(kernel: np.ndarray) -> np.ndarray:
    """`[out, in, height, width]` becomes `[height, width, in, out]`."""
    return kernel.transpose(2, 3, 1, 0) if kernel.ndim == 4 else kernel


def load_slim(network: tf.keras.Model, weights: str) -> None:
    """Fills `inception_bn`.

    Args:
      network: The encoder.
      weights: "imagenet", or the path of TF-Slim's archive or checkpoint, or of a Keras
        weight file.

    Raises:
      InputError: The file cannot be had, cannot be read, or is of another network.
    """
    pretrained.load_converted(
        network, weights, lambda: pretrained.download(_SLIM_URL), _from_slim
    )


def _from_slim(network: tf.keras.Model, path: str) -> pretrained.Weights:
    try:
        with _unpacked(path) as checkpoint:
            check_place("encoder_weights", checkpoint)
            reader = tf.train.load_checkpoint(checkpoint)
            shapes = reader.get_variable_to_shape_map()
            names = {
                layer.name: [v for v in _slim_variables(layer.name) if v in shapes]
                for layer in network.layers
                if layer.weights
            }
            stated = {
                layer: [tuple(shapes[v]) for v in variables]
                for layer, variables in names.items()
            }
            # Before any is read: a small file may declare large ones.
            pretrained.check_shapes(network, stated, path)
            return {
                layer: [reader.get_tensor(v) for v in variables]
                for layer, variables in names.items()
            }
    except InputError:
        raise
    except (
        tarfile.TarError,
        EOFError,
        OSError,
        ValueError,
        tf.errors.OpError,
    ) as error:
        raise InputError(
            "--encoder_weights of inception_bn must be TF-Slim's archive or checkpoint "
            f"of Inception v1. Received: {path!r}: {str(error).splitlines()[0]}."
        ) from error


def _slim_variables(layer: str) -> list[str]:
    """TF-Slim's names of the variables of one of our layers, in Keras' order."""
    name = layer.removesuffix("_bn")
    if name.startswith("inception_"):
        _, block, branch = name.split("_", 2)
        # The paper's 3a is TF-Slim's 3b.
        scope = f"Mixed_{block[0]}{chr(ord(block[1]) + 1)}/{_BRANCHES[branch]}"
    else:
        scope = _STEM[name]
    scope = f"InceptionV1/{_IRREGULAR.get(scope, scope)}"
    if name == layer:
        return [f"{scope}/weights"]
    return [
        f"{scope}/BatchNorm/{v}" for v in ("beta", "moving_mean", "moving_variance")
    ]


@contextlib.contextmanager
def _unpacked(path: str) -> Iterator[str]:
    """The checkpoint itself, unpacked for as long as it is read."""
    if not (os.path.isfile(path) and tarfile.is_tarfile(path)):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder, tarfile.open(path) as archive:
        # One file, or several whose names begin so.
        members = [m for m in archive if m.name.startswith(_SLIM_CHECKPOINT)]
        if not 0 < sum(member.size for member in members) <= _SLIM_MOST_BYTES:
            raise OSError(f"it holds no {_SLIM_CHECKPOINT} of usual size")
        archive.extractall(folder, members, filter="data")
        yield os.path.join(folder, _SLIM_CHECKPOINT)
