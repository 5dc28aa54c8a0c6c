"""A tiny network with mixtures of normalisations, and a trainer of it."""

import numpy as np
import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.losses import table
from abe_tf.losses.metric import Sizes
from abe_tf.models import normalization, renormalized
from abe_tf.models.layers import UnitLength
from abe_tf.training import optimizers, strategies
from abe_tf.training.checkpoints import Checkpoints
from abe_tf.training.meta import MetaStep
from abe_tf.training.trainer import EnsembleTrainer

SIZE = 8


def small_network():
    """Two learners of four dimensions behind two mixtures."""
    x = pixels = tf.keras.Input([SIZE, SIZE, 3])
    for _ in range(2):
        x = tf.keras.layers.Conv2D(6, 3, use_bias=False)(x)
        x = normalization.BatchInstanceNormalization(0.9, 1e-3, False)(x)
        x = tf.keras.layers.ReLU()(x)
    x = tf.keras.layers.GlobalAveragePooling2D()(x)
    x = tf.keras.layers.Dense(8, name="linear")(x)
    return tf.keras.Model(pixels, UnitLength()(tf.keras.layers.Reshape([2, 4])(x)))


def trainer_of(strategy="default", precision="float32", domains=0, **training):
    """A trainer; with a meta update where there are domains."""
    tf.keras.utils.set_random_seed(2)
    settings = {"optimizer": "sgd", "learning_rate": 0.05, "meta": bool(domains)}
    config = TrainingConfig(**{**settings, **training})
    loss = LossConfig(metric_loss="contrastive")
    with strategies.create(strategy).scope():
        network = small_network()
        rhos = list(renormalized.rhos(network).values())
        meta = None
        if domains:
            rate = optimizers.rho_rate(config)
            meta = MetaStep(config, loss, domains, rhos, normalization.mixing, rate)
        trainer = EnsembleTrainer(
            network,
            network.get_layer("linear").trainable_variables,
            loss,
            metric=table.create(loss, Sizes(2, 4, (0, 1, 2, 3))),
            seed=7,
            rhos=rhos,
            meta=meta,
        )
        trainer.compile(optimizers.create(config, precision, for_rho=True))
    return trainer


def pixels(seed, count=8):
    """Images of floats, more unlike each other than light makes them."""
    drawn = np.random.default_rng(seed)
    return drawn.normal(1, 2, [count, SIZE, SIZE, 3]).astype(np.float32)


def opened(trainer, path):
    """Its checkpoints in a folder."""
    folders = str(path / "last"), str(path / "best")
    return Checkpoints(trainer, *folders, 2, print, class_names=list("abcd"))


def goes_on_to_the_bit(train, path, **settings):
    """Trains four steps, and two and two more; the trainer of the four."""
    whole, first, second = (trainer_of(**settings) for _ in range(3))
    train(whole, 0, 4)
    train(first, 0, 2)
    opened(first, path).save()
    assert opened(second, path).restore() == 2
    train(second, 2, 4)
    for one, other in zip(weights_of(whole), weights_of(second), strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.ptp(rhos_of(whole)) > 0
    return whole


def rhos_of(trainer):
    """All mixtures, one behind the other."""
    found = renormalized.rhos(trainer.network).values()
    return np.concatenate([tf.convert_to_tensor(rho).numpy() for rho in found])


def weights_of(trainer):
    """All weights of the network."""
    return [tf.convert_to_tensor(w).numpy() for w in trainer.network.weights]
