"""Every encoder, with attention at two places: trained, saved, loaded, exported.

`make test` runs MobileNet at one of them, `make test-all` all.
"""

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.data import DataConfig
from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ENCODERS, ModelConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.data.pixels.preprocessing import Preprocessing
from abe_tf.models.build import build, encoder
from abe_tf.models.ensemble import new_layer_variables
from abe_tf.models.places import PlacesNetwork
from abe_tf.storage import checkpoints
from abe_tf.storage.restoring import restore
from abe_tf.training import optimizers
from abe_tf.training.trainer import EnsembleTrainer
from export.publish.signatures import ServingModule

FAST = ("googlenet", "inception_bn", "mobilenet")
SIZES = {"inception_v3": 75}
APPLICATIONS = ("mobilenet", "mobilenet_v2", "inception_v3", "resnet50")


def cases(names):
    """Those that take long are left to `make test-all`."""
    return [
        pytest.param(name, marks=() if name in FAST else pytest.mark.slow)
        for name in names
    ]


def config(name, **flags):
    return ModelConfig(
        encoder=name, num_learners=2, embedding_dim=8, mobilenet_alpha=0.35, **flags
    )


def another_place(name, size):
    """A place other than its own, with a trunk of at least one block."""
    found = encoder(config(name), size, "none")
    (*_, place) = [
        p for p in found.places if p != found.attention_at and found.max_depth(p)
    ]
    return place


def take_averages_at_once(network):
    """One step's averages are then those that inference normalises by."""
    for module in network.submodules:
        if isinstance(module, tf.keras.layers.BatchNormalization):
            module.momentum = 0.0


def places():
    """At its own place, and at another one; `make test` has one of MobileNet alone."""
    for name in ENCODERS:
        for own_place in (True, False):
            usual = (name, own_place) == ("mobilenet", False)
            marks = () if usual else pytest.mark.slow
            yield pytest.param(name, own_place, marks=marks)


@pytest.mark.parametrize(("name", "own_place"), places())
def test_trained_saved_loaded_exported(name, own_place, tmp_path):
    size = SIZES.get(name, 48)
    place = None if own_place else another_place(name, size)
    model = config(name, attention_at=place)
    network = build(model, size)
    take_averages_at_once(network)
    before = [value.copy() for value in network.get_weights()]
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, [4, size, size, 3], np.uint8)
    trainer = EnsembleTrainer(network, new_layer_variables(network), LossConfig())
    trainer.compile(optimizers.create(TrainingConfig(schedule="constant")))
    trainer.train_on_batch(pixels, np.array([0, 0, 1, 1]))
    assert not all(map(np.array_equal, before, network.get_weights()))
    expected = network(pixels).numpy()
    np.testing.assert_allclose(np.linalg.norm(expected, axis=-1), 1, atol=1e-5)
    parts, bias = PlacesNetwork(network)(pixels)
    np.testing.assert_allclose(tf.reduce_sum(parts, [2, 3]) + bias, expected, atol=1e-5)

    path = str(tmp_path / "checkpoint")
    tf.train.Checkpoint(network=network).write(checkpoints.prefix(path))
    loaded = build(model, size)
    restore(tf.train.Checkpoint(network=loaded), path)
    np.testing.assert_allclose(loaded(pixels), expected, atol=1e-5)

    preprocessing = Preprocessing.of(DataConfig(image_size=size, resize_size=size))
    module = ServingModule(loaded, preprocessing)
    version = str(tmp_path / "model")
    tf.saved_model.save(module, version, signatures=module.signatures(None, 1))
    files = tf.constant([tf.io.encode_png(image).numpy() for image in pixels])
    served = tf.saved_model.load(version).signatures["serving_default"](files)
    # Against the network run as a graph, which rounds as the exported one does:
    # averages of one step are small, and enlarge the rounding of fused operations.
    as_graph = tf.function(loaded)(tf.constant(pixels)).numpy()
    np.testing.assert_allclose(as_graph, expected, atol=1e-2)
    np.testing.assert_allclose(served["embedding"], as_graph.reshape(4, 8), atol=1e-5)


@pytest.mark.parametrize("ensemble", ["heads", "hdc", "bier"])
@pytest.mark.parametrize("name", cases(ENCODERS))
def test_other_ensembles_on_every_encoder(name, ensemble):
    size = SIZES.get(name, 48)
    model = config(name, ensemble=ensemble)
    network = build(model, size)
    pixels = np.random.default_rng(0).integers(0, 256, [2, size, size, 3], np.uint8)
    # Averages that no step has seen would let the features vanish.
    learners = network(pixels, training=True).numpy()
    assert learners.shape == (2, *model.layout.shape)
    lengths = np.linalg.norm(learners, axis=-1)
    np.testing.assert_allclose(lengths, [model.layout.lengths] * 2, rtol=1e-4)
    assert np.abs(learners[:, 0] - learners[:, 1]).max() > 1e-3
    if ensemble == "hdc":
        # Its first learner ends in hidden layers: nothing of it lies at a place.
        return
    take_averages_at_once(network)
    network(pixels, training=True)
    parts, bias = PlacesNetwork(network)(pixels)
    whole = tf.reduce_sum(parts, [2, 3]) + bias
    np.testing.assert_allclose(whole, network(pixels), atol=1e-5)


def keras_application(name, size):
    keras = tf.keras.applications
    build_it, module = {
        "mobilenet": (keras.MobileNet, keras.mobilenet),
        "mobilenet_v2": (keras.MobileNetV2, keras.mobilenet_v2),
        "inception_v3": (keras.InceptionV3, keras.inception_v3),
        "resnet50": (keras.ResNet50, keras.resnet50),
    }[name]
    flags = {"alpha": 0.35} if name.startswith("mobilenet") else {}
    network = build_it(
        weights=None, include_top=False, input_shape=(size, size, 3), **flags
    )
    return network, module.preprocess_input


@pytest.mark.parametrize("name", cases(APPLICATIONS))
def test_weights_of_keras_give_the_features_of_keras(name, tmp_path):
    size = SIZES.get(name, 48)
    theirs, preprocess = keras_application(name, size)
    rng = np.random.default_rng(0)
    theirs.set_weights(
        [w + np.abs(rng.normal(0, 0.02, w.shape)) for w in theirs.get_weights()]
    )
    path = str(tmp_path / "weights.h5")
    theirs.save_weights(path)
    pixels = rng.integers(0, 256, [2, size, size, 3], np.uint8)
    expected = theirs(preprocess(pixels.astype(np.float32).copy())).numpy()
    ours = encoder(config(name), size, path).network(pixels).numpy()
    np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_efficientnet_normalises_as_its_authors_do(tmp_path):
    """Keras' weights divide by the variance's root twice; see its source."""
    theirs = tf.keras.applications.EfficientNetB0(
        weights=None, include_top=False, input_shape=(48, 48, 3)
    )
    path = str(tmp_path / "weights.h5")
    theirs.save_weights(path)
    pixels = np.random.default_rng(0).integers(0, 256, [2, 48, 48, 3], np.uint8)
    normalised = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    # Its own layers divide by 255, and leave mean 0 and variance 1.
    expected = theirs(255 * normalised).numpy()
    ours = encoder(config("efficientnet_b0"), 48, path).network(pixels).numpy()
    np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max())
