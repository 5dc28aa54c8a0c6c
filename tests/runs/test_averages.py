"""A run that keeps averages of its weights fills one that trains fewer of them."""

import dataclasses

import numpy as np

from abe_tf.config.data import DataConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.models.build import build
from abe_tf.runs import trained
from abe_tf.runs.flags import RunFlags
from abe_tf.runs.folder import RunFolder
from abe_tf.session.building import build_trainer
from abe_tf.training import strategies
from abe_tf.training.checkpoints import Checkpoints

SIZE, CLASSES = 32, list("abcd")


def test_a_frozen_network_starts_from_the_averages(tmp_path):
    flags = RunFlags(
        ModelConfig(num_learners=2, embedding_dim=8),
        DataConfig(image_size=SIZE),
        training=TrainingConfig(ema_momentum=0.5),
    )
    folder = RunFolder(str(tmp_path))
    folder.write_record(flags, CLASSES, [])
    strategy = strategies.create("default")
    with strategy.scope():
        trainer = build_trainer(flags, range(4), strategy, None, begun=False)
    averages = trainer._optimizers.averages(trainer.network.trainable_variables)
    for one in averages:
        one.assign(1.1 * one)
    places = folder.checkpoints("last"), folder.checkpoints("best")
    Checkpoints(trainer, *places, 1, print, class_names=CLASSES).save()

    network = build(dataclasses.replace(flags.model, freeze_batch_norm=True), SIZE)
    trained.initialise(network, folder.path)
    pixels = np.random.default_rng(0).integers(0, 256, [3, SIZE, SIZE, 3], np.uint8)
    of_weights = trainer.network(pixels).numpy()
    with trainer.averaged():
        expected = trainer.network(pixels).numpy()
    assert np.abs(expected - of_weights).max() > 1e-3
    np.testing.assert_allclose(network(pixels), expected, atol=1e-6)
