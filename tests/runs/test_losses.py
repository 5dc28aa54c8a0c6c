"""Runs of losses with variables, or free lengths, are like all others afterwards."""

import collections

import numpy as np
import pytest

import abe_tf

# isort: split
import tensorflow as tf

from tests.conftest import SMALL


@pytest.mark.slow
@pytest.mark.parametrize(
    "loss",
    [
        ("--metric_loss=margin",),
        ("--metric_loss=proxy_anchor", "--batches=uniform", "--images_per_batch=6"),
        ("--metric_loss=npairs", "--embedding_norm=free"),
    ],
    ids=lambda loss: loss[0].partition("=")[2],
)
def test_a_run_is_evaluated_loaded_and_exported(loss, photos, tmp_path, run_command):
    workdir, saved = tmp_path / "run", tmp_path / "test.npz"
    flags = (*SMALL, f"--data_dir={photos}", f"--workdir={workdir}", "--steps=2")
    run_command("abe_tf.train", *flags, *loss)
    run_command("abe_tf.train", *flags, *loss, "--steps=4")
    run_command("abe_tf.evaluate", f"--workdir={workdir}", f"--save_embeddings={saved}")
    with np.load(saved) as found:
        expected, names = found["learner_embeddings"], found["ids"]
    paths = [str(name) for name in names]
    embedded = abe_tf.load(str(workdir)).embed(paths)
    np.testing.assert_allclose(embedded, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(embedded, axis=-1), 1, atol=1e-5)
    # The exporter holds the answers against evaluation's.
    models = tmp_path / "models"
    run_command("export.saved_model", f"--workdir={workdir}", f"--export_dir={models}")
    (index,) = models.rglob("variables.index")
    held = tf.train.list_variables(str(index).removesuffix(".index"))
    shapes = collections.Counter(tuple(shape) for name, shape in held if shape)
    network = abe_tf.load(str(workdir)).network
    assert shapes == collections.Counter(w.shape for w in network.get_weights())
