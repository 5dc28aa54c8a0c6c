"""The public weight files of Inception v1: read, filled in, computed with, refused."""

import hashlib
import tarfile

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.errors import InputError
from abe_tf.models.googlenet import googlenet
from abe_tf.models.inception_bn import inception_bn
from abe_tf.models.weights import inception, pretrained
from abe_tf.models.weights.caffemodel import read_blobs
from tests.models.weights.inception_files import caffe_blobs, caffemodel, slim_variables
from tests.models.weights.inception_forward import googlenet_pools, inception_bn_pools

SIZE = 80  # pools 40, 20, 10, 5: even and odd


@pytest.fixture
def pixels():
    return np.random.default_rng(1).integers(0, 256, [SIZE, SIZE, 3], np.uint8)


@pytest.fixture(scope="module")
def blobs():
    return caffe_blobs(0)


@pytest.fixture(scope="module")
def caffe_file(blobs, tmp_path_factory):
    path = tmp_path_factory.mktemp("caffe") / "bvlc_googlenet.caffemodel"
    path.write_bytes(caffemodel(blobs, old=False))
    return path


def write_checkpoint(folder, variables):
    """With TensorFlow 1's names, as TF-Slim wrote it."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        made = [tf.compat.v1.Variable(v, name=n) for n, v in variables.items()]
        session.run([variable.initializer for variable in made])
        path = str(folder / "inception_v1.ckpt")
        tf.compat.v1.train.Saver(made).save(session, path, write_meta_graph=False)
    return path


@pytest.fixture(scope="module")
def variables():
    return slim_variables(0)


@pytest.fixture(scope="module")
def checkpoint(variables, tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("slim"), variables)


def assert_agrees(network, pixels, expected):
    outputs = {name: network.get_layer(name).get_output_at(0) for name in expected}
    found = tf.keras.Model(network.inputs, outputs)(pixels[np.newaxis])
    for name, values in expected.items():
        scale = np.abs(values).max()
        assert scale > 1e-2
        assert found[name].shape[1:] == values.shape
        assert np.abs(found[name][0] - values).max() <= 1e-4 * scale, name


def test_googlenet_computes_what_caffe_does(caffe_file, blobs, pixels):
    network = googlenet(SIZE, str(caffe_file)).network
    assert_agrees(network, pixels, googlenet_pools(pixels, blobs))


def test_inception_bn_computes_what_tf_slim_does(checkpoint, variables, pixels):
    network = inception_bn(SIZE, checkpoint).network
    assert_agrees(network, pixels, inception_bn_pools(pixels, variables))


@pytest.mark.parametrize("old", [False, True])
def test_both_generations_of_the_format_are_read(tmp_path, blobs, old):
    path = tmp_path / "weights.caffemodel"
    path.write_bytes(caffemodel(blobs, old))
    found = read_blobs(str(path))
    assert set(found) == set(blobs)
    for name, arrays in blobs.items():
        for ours, theirs in zip(found[name], arrays, strict=True):
            np.testing.assert_array_equal(ours.reshape(theirs.shape), theirs)
    networks = [googlenet(32, str(path)).network, googlenet(32).network]
    kernel = networks[0].get_layer("inception_4c_5x5").kernel
    expected = blobs["inception_4c/5x5"][0].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel, expected)


def test_the_archive_of_tf_slim_is_unpacked(tmp_path, checkpoint, variables):
    archive = tmp_path / "inception_v1_2016_08_28.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        for name in (".index", ".data-00000-of-00001"):
            file.add(checkpoint + name, f"inception_v1.ckpt{name}")
    network = inception_bn(32, str(archive)).network
    name = "InceptionV1/Mixed_5b/Branch_2/Conv2d_0a_3x3/weights"
    kernel = network.get_layer("inception_5a_5x5").kernel
    np.testing.assert_array_equal(kernel, variables[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b[: len(b) // 2], "Error parsing message"),
        (lambda b: b"", "layer conv1_7x7_s2 has weights of shape none"),
        (lambda b: b"GIF89a, no network at all" * 40, "Received"),
        (lambda b: b.replace(b"inception_4a/1x1", b"inception_4a/1y1"), "4a_1x1"),
    ],
)
def test_a_caffemodel_that_is_none_is_refused(tmp_path, caffe_file, change, message):
    path = tmp_path / "weights.caffemodel"
    path.write_bytes(change(caffe_file.read_bytes()))
    with pytest.raises(InputError, match=message) as caught:
        googlenet(32, str(path))
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_network_is_refused(tmp_path, variables):
    without = {n: v for n, v in variables.items() if "Mixed_5b/Branch_2" not in n}
    path = write_checkpoint(tmp_path, without)
    with pytest.raises(InputError, match="inception_5a_5x5"):
        inception_bn(32, path)
    with pytest.raises(InputError, match="must be TF-Slim's"):
        inception_bn(32, __file__)


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras"


def published(monkeypatch, path, sha1):
    """The file where the project looks for it, under an address of this machine."""
    monkeypatch.setattr(inception, "_CAFFE_URL", path.as_uri())
    monkeypatch.setattr(inception, "_CAFFE_SHA1", sha1)


def test_imagenet_weights_are_fetched_checked_and_converted_once(
    monkeypatch, keras_home, caffe_file
):
    sha1 = hashlib.sha1(caffe_file.read_bytes()).hexdigest()
    published(monkeypatch, caffe_file, sha1)
    first = googlenet(32, "imagenet").network.get_weights()
    (keras_home / "models" / caffe_file.name).unlink()
    published(monkeypatch, caffe_file.with_name("gone"), sha1)
    second = googlenet(32, "imagenet").network.get_weights()
    assert all(map(np.array_equal, first, second))
    left = [path.name for path in (keras_home / "models").iterdir()]
    assert left == ["abe_tf_googlenet.weights.h5"]


def test_a_wrong_checksum_is_refused_and_nothing_is_kept(
    monkeypatch, keras_home, caffe_file
):
    published(monkeypatch, caffe_file, "0" * 40)
    with pytest.raises(InputError, match="must have the SHA-1 0000"):
        googlenet(32, "imagenet")
    assert not list((keras_home / "models").iterdir())


def test_a_foreign_file_of_the_right_checksum_is_not_converted(
    monkeypatch, keras_home, tmp_path
):
    path = tmp_path / "bvlc_googlenet.caffemodel"
    content = caffemodel({"ip1": [np.ones([2, 3], np.float32)]}, old=False)
    path.write_bytes(content)
    published(monkeypatch, path, hashlib.sha1(content).hexdigest())
    with pytest.raises(InputError, match="layer conv1_7x7_s2"):
        googlenet(32, "imagenet")
    assert not list((keras_home / "models").glob("*.h5"))


def test_what_cannot_be_fetched_says_how_to_give_it(monkeypatch, keras_home, tmp_path):
    published(monkeypatch, tmp_path / "nowhere.caffemodel", "0" * 40)
    with pytest.raises(InputError, match="--encoder_weights=PATH"):
        googlenet(32, "imagenet")


def test_keras_weights_of_the_encoder_are_read_too(tmp_path, caffe_file):
    network = googlenet(32, str(caffe_file)).network
    path = str(tmp_path / "mine.h5")
    network.save_weights(path)
    again = googlenet(32, path).network
    assert all(map(np.array_equal, network.get_weights(), again.get_weights()))
    with pytest.raises(InputError, match="must be a file of this encoder"):
        pretrained.load_h5(inception_bn(32).network, path)


def test_the_trunk_starts_from_the_same_weights_as_g(caffe_file):
    backbone = googlenet(32, str(caffe_file))
    ours, theirs = (
        model.get_layer("inception_4e_3x3").kernel
        for model in (backbone.trunk(True), backbone.rest())
    )
    np.testing.assert_array_equal(ours, theirs)
    assert ours is not theirs
