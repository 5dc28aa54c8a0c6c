import os

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.data import DataConfig
from abe_tf.config.model import ModelConfig
from abe_tf.data.preprocessing import Preprocessing
from abe_tf.errors import InputError
from abe_tf.models.build import build
from abe_tf.runs import TrainedModel
from export.saved_model import publish


@pytest.fixture(scope="module")
def model():
    tf.keras.utils.set_random_seed(0)
    network = build(ModelConfig(num_learners=2, embedding_dim=16), image_size=32)
    return TrainedModel(network, Preprocessing(32, 37, True), DataConfig(), "ckpt-0")


@pytest.fixture(scope="module")
def version(model, tmp_path_factory):
    return publish(model, str(tmp_path_factory.mktemp("models") / "abe"))


@pytest.mark.parametrize("batch", [1, 3, 40])
def test_the_export_and_evaluation_give_the_same_numbers(model, version, photos, batch):
    paths = sorted(map(str, photos.glob("*/*.*")))[:batch]
    loaded = tf.saved_model.load(version)
    image_bytes = tf.constant([tf.io.read_file(path).numpy() for path in paths])
    answer = loaded.signatures["serving_default"](image_bytes=image_bytes)
    assert list(answer) == ["embedding"]
    expected = model.embed(paths, batch_size=7)
    np.testing.assert_allclose(
        answer["embedding"], expected.reshape(len(paths), -1), atol=1e-4
    )
    lengths = np.linalg.norm(answer["embedding"], axis=-1)
    np.testing.assert_allclose(lengths, np.sqrt(2), atol=1e-4)


def test_the_signature_is_the_contract_of_serving(version):
    loaded = tf.saved_model.load(version).signatures["serving_default"]
    (name, image_bytes), *others = loaded.structured_input_signature[1].items()
    assert (name, image_bytes.dtype, image_bytes.shape.rank, others) == (
        *("image_bytes", tf.string, 1, []),
    )
    embedding = loaded.structured_outputs["embedding"]
    assert (embedding.dtype, embedding.shape.as_list()) == (tf.float32, [None, 16])


def test_an_empty_batch_gives_an_empty_answer(version):
    loaded = tf.saved_model.load(version).signatures["serving_default"]
    answer = loaded(image_bytes=tf.constant([], tf.string))
    assert answer["embedding"].shape == [0, 16]


def test_a_version_that_exists_is_never_touched(model, tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "mine").write_text("mine")
    assert publish(model, str(tmp_path)) == str(tmp_path / "8")
    assert sorted(os.listdir(tmp_path)) == ["7", "8"]
    assert os.listdir(tmp_path / "7") == ["mine"]


def test_a_failed_export_leaves_nothing(model, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("disk full")

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        publish(model, str(tmp_path))
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_refused(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--export_dir must be a folder"):
        publish(model, str(tmp_path / "file" / "model"))
