import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.errors import InputError
from abe_tf.training import optimizers
from abe_tf.training.guards import CollapseWatch, FiniteGuard
from abe_tf.training.trainer import EnsembleTrainer


def test_the_first_step_that_is_not_finite_is_named_with_term_and_images():
    pixels = tf.keras.Input([3])
    learners = tf.keras.layers.Reshape([2, 3])(tf.keras.layers.Dense(6)(pixels))
    network = tf.keras.Model(pixels, learners)
    trainer = EnsembleTrainer(network, [], LossConfig())
    trainer.compile(optimizers.create(TrainingConfig()))
    guard = FiniteGuard(trainer, lambda number: [f"image {number}"])
    images, labels = np.ones([4, 3], np.float32), np.array([0, 0, 1, 1])
    trainer.train_on_batch(images, labels)
    guard.check()
    trainer.train_on_batch(np.full_like(images, np.nan), labels)
    trainer.train_on_batch(images, labels)
    with pytest.raises(
        InputError, match=r"the metric loss was nan.* at step 2\. .*The batch: image 1$"
    ):
        guard.check()


def test_a_collapse_is_announced_once_with_remedies():
    said = []
    watch = CollapseWatch(said.append)
    for step in range(9):
        watch.look(step, 0.50, 0.50)
    assert not said
    watch.look(9, 0.30, 0.50)
    for step in range(10, 40):
        watch.look(step, 1e-6, 1e-6)
    assert len(said) == 1
    assert said[0].startswith("step 19: COLLAPSE")
    assert "--learning_rate" in said[0]
