"""Weights from elsewhere: where they come from, and whether they fit."""

from __future__ import annotations

import h5py
import tensorflow as tf

from abe_tf.errors import InputError

_KERAS_APPLICATIONS = (
    "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/"
)


def download_mobilenet(alpha: float) -> str:
    """Path of Keras' ImageNet weights of MobileNet, downloaded once into its cache.

    Args:
      alpha: 0.25, 0.5, 0.75 or 1.

    Raises:
      InputError: The file cannot be downloaded.
    """
    alpha_text = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}[alpha]
    name = f"mobilenet_{alpha_text}_224_tf_no_top.h5"
    try:
        return tf.keras.utils.get_file(
            name, _KERAS_APPLICATIONS + name, cache_subdir="models"
        )
    except Exception as error:  # Keras raises bare Exceptions here.
        raise InputError(
            "--encoder_weights=imagenet needs a download, which failed: "
            f"{error}. Give the file itself: --encoder_weights=PATH of {name}."
        ) from error


def load_h5(network: tf.keras.Model, path: str) -> None:
    """Fills a network, layer by layer of the same name, from a Keras weight file.

    Layers that only the file has, such as the classifier, are left out; a layer that
    only the network has, or one of another shape, means that the file is of another
    network.

    Args:
      network: The network to fill; untouched where the file does not fit.
      path: A weight file in Keras' HDF5 format.

    Raises:
      InputError: The file is missing, no HDF5 file, or of another network.
    """
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            weights = {
                layer.name: _read_layer(root, layer, path)
                for layer in network.layers
                if layer.weights
            }
    except (OSError, KeyError, AttributeError) as error:
        raise InputError(
            "--encoder_weights must be none, imagenet or a Keras weight file in HDF5 "
            f"format. Received: {path!r}, which cannot be read: {error}."
        ) from error
    for name, values in weights.items():
        network.get_layer(name).set_weights(values)


def _read_layer(root: h5py.Group, layer: tf.keras.layers.Layer, path: str) -> list:
    names = root[layer.name].attrs["weight_names"] if layer.name in root else []
    values = [root[layer.name][name][()] for name in names]
    found = [value.shape for value in values]
    wanted = [tuple(weight.shape) for weight in layer.weights]
    if found != wanted:
        raise InputError(
            "--encoder_weights must be a file of this encoder, at this width. "
            f"Received: {path!r}, whose layer {layer.name} has weights of shape "
            f"{found or 'none'} instead of {wanted}."
        )
    return values
