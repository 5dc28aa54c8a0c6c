"""Weights from elsewhere: where they come from, and whether they fit."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence

import h5py
import numpy as np
import tensorflow as tf

from abe_tf.errors import InputError
from abe_tf.models.weights import hdf5
from abe_tf.storage.files import writing

# New arrays for a layer, in the order of its weights.
Weights = dict[str, list[np.ndarray]]
_HDF5 = b"\x89HDF\r\n\x1a\n"
# For names that are none, or no text.
_HDF5_RAISES = (ValueError, RuntimeError)


def download_application(
    build: Callable[..., tf.keras.Model], arguments: dict[str, float]
) -> tf.keras.Model:
    """One of Keras' networks with its ImageNet weights, which Keras keeps in its cache.

    Raises:
      InputError: The weights cannot be downloaded.
    """
    try:
        return build(
            input_shape=(224, 224, 3),
            include_top=False,
            weights="imagenet",
            **arguments,
        )
    except Exception as error:  # Keras raises bare Exceptions here.
        raise _not_downloaded(error) from error


def download(url: str, sha1: str | None = None) -> str:
    """Path of a file in Keras' cache, downloaded once.

    Args:
      url: Where it is.
      sha1: Its checksum in hexadecimal, or `None` where none is published.

    Raises:
      InputError: It cannot be downloaded, or has another checksum and is removed.
    """
    home = _keras_home()
    try:
        path = tf.keras.utils.get_file(
            os.path.basename(url), url, cache_dir=home, cache_subdir="models"
        )
    except Exception as error:  # Keras raises bare Exceptions here.
        raise _not_downloaded(error) from error
    if sha1 is not None:
        with open(path, "rb") as file:
            checksum = hashlib.file_digest(file, "sha1").hexdigest()
        if checksum != sha1:
            os.remove(path)
            raise InputError(
                f"{url} must have the SHA-1 {sha1}. Received: {checksum}. It was "
                "removed; run again, or give the file itself: --encoder_weights=PATH."
            )
    return path


def _keras_home() -> str:
    home = os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")
    try:
        os.makedirs(os.path.join(home, "models"), exist_ok=True)
    except OSError as error:
        raise InputError(
            "--encoder_weights=imagenet needs a cache that can be written. "
            f"Received: {home!r}: {error.strerror}. Set KERAS_HOME to another folder."
        ) from error
    return home


def _not_downloaded(error: Exception) -> InputError:
    return InputError(
        f"--encoder_weights=imagenet needs a download, which failed: {error}. "
        "Give the file itself: --encoder_weights=PATH."
    )


def load_converted(
    network: tf.keras.Model,
    weights: str,
    fetch: Callable[[], str],
    convert: Callable[[tf.keras.Model, str], Weights],
) -> None:
    """Fills a network from a file of another program.

    What was fetched is kept in Keras' cache as Keras weights, too, so that it is
    converted once.

    Args:
      network: The network to fill; untouched where the file does not fit.
      weights: "imagenet" or the path of a file: Keras' HDF5, or the other program's.
      fetch: Downloads the file of "imagenet".
      convert: Reads the other program's file.

    Raises:
      InputError: The file cannot be had, cannot be read, or is of another network.
    """
    if weights != "imagenet":
        if _is_hdf5(weights):
            load_h5(network, weights)
        else:
            set_weights(network, convert(network, weights), weights)
        return
    cached = os.path.join(_keras_home(), "models", f"abe_tf_{network.name}.weights.h5")
    if os.path.exists(cached):
        load_h5(network, cached)
        return
    path = fetch()
    set_weights(network, convert(network, path), path)
    # A half-written cache would be found ever after.
    with writing(cached) as file:
        network.save_weights(file.name, save_format="h5")


def _is_hdf5(path: str) -> bool:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(len(_HDF5)) == _HDF5
    return False


def load_h5(network: tf.keras.Model, path: str, in_order: bool = False) -> None:
    """Fills a network, layer by layer of the same name, from a Keras weight file.

    Layers that only the file has, such as the classifier, are left out; a layer that
    only the network has, or one of another shape, means that the file is of another
    network.

    Args:
      network: The network to fill; untouched where the file does not fit.
      path: A weight file in Keras' HDF5 format.
      in_order: Whether layers are told by their order and not by their names.

    Raises:
      InputError: The file is missing, no HDF5 file, of another network, or points to
        other files.
    """
    layers = _layers_with_weights(network)
    try:
        with h5py.File(path, "r") as file:
            root = hdf5.item(file, "model_weights") or file
            names = [layer.name for layer in layers]
            if in_order:
                stored = hdf5.layers_with_weights(root)
                names = [*stored, *names][: len(names)]
            datasets = {
                layer.name: hdf5.weights(root, name)
                for layer, name in zip(layers, names, strict=True)
            }
            # Before any is read: a small file may declare large ones.
            stated = {name: [d.shape for d in held] for name, held in datasets.items()}
            check_shapes(network, stated, path)
            arrays = {
                name: [dataset[()] for dataset in held]
                for name, held in datasets.items()
            }
    except InputError:
        raise
    except (OSError, LookupError, AttributeError, TypeError, *_HDF5_RAISES) as error:
        raise InputError(
            "--encoder_weights must be none, imagenet or a Keras weight file in HDF5 "
            f"format. Received: {path!r}, which cannot be read: {error}."
        ) from error
    set_weights(network, arrays, path)


def set_weights(network: tf.keras.Model, weights: Weights, path: str) -> None:
    """Fills every layer, once all are known to fit.

    Args:
      network: The network to fill.
      weights: Arrays by the name of the layer.
      path: Where they come from, for the message.

    Raises:
      InputError: A layer has none, or of other shapes; nothing was filled.
    """
    shapes = {name: [value.shape for value in weights[name]] for name in weights}
    check_shapes(network, shapes, path)
    for layer in _layers_with_weights(network):
        layer.set_weights(weights[layer.name])


def check_shapes(
    network: tf.keras.Model,
    stated: Mapping[str, Sequence[tuple[int, ...]]],
    path: str,
) -> None:
    """Checks that there are weights of the right shapes for every layer.

    Args:
      network: That is to be filled.
      stated: Shapes by the name of the layer.
      path: Where it comes from, for the message.

    Raises:
      InputError: A layer has none, or of other shapes.
    """
    for layer in _layers_with_weights(network):
        shapes = list(stated.get(layer.name, []))
        wanted = [tuple(weight.shape) for weight in layer.weights]
        if shapes != wanted:
            raise InputError(
                "--encoder_weights must be a file of this encoder, at this width. "
                f"Received: {path!r}, whose layer {layer.name} has weights of shape "
                f"{shapes or 'none'} instead of {wanted}."
            )


def copy_in_order(source: tf.keras.Model, network: tf.keras.Model) -> None:
    """Copies the weights of a network of the same layers, whatever their names.

    Raises:
      ValueError: Its layers are others.
    """
    given, taken = _layers_with_weights(source), _layers_with_weights(network)
    shapes = [[tuple(w.shape) for w in x.weights] for x in given]
    if shapes != [[tuple(w.shape) for w in x.weights] for x in taken]:
        raise ValueError("The layers of the two networks differ.")
    for theirs, ours in zip(given, taken, strict=True):
        ours.set_weights(theirs.get_weights())


def _layers_with_weights(network: tf.keras.Model) -> Sequence[tf.keras.layers.Layer]:
    """All but Keras' own normalisation of pixels, in whose stead ours stands."""
    skipped = tf.keras.layers.Normalization
    return [x for x in network.layers if x.weights and not isinstance(x, skipped)]
