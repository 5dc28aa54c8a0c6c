"""Every loss that ABE is compared with trains one learner, several heads, and ABE."""

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.compare import SETTINGS
from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.losses import table
from abe_tf.losses.metric import Sizes
from abe_tf.models import ensemble
from abe_tf.models.build import build
from abe_tf.training import optimizers
from abe_tf.training.trainer import EnsembleTrainer


@pytest.fixture(scope="module", params=["none", "heads", "abe"])
def started(request):
    tf.keras.utils.set_random_seed(3)
    learners = 1 if request.param == "none" else 2
    model = ModelConfig(ensemble=request.param, num_learners=learners, embedding_dim=16)
    network = build(model, 32)
    return network, network.get_weights()


@pytest.fixture
def network(started):
    built, weights = started
    built.set_weights(weights)
    return built


@pytest.mark.parametrize("name", [*SETTINGS, "triplet_hard"])
def test_a_step_with_the_divergence_on_top(network, name):
    # With a gamma of 1 it may cost nothing.
    settings = {"clustering_gamma": 20.0} if name == "clustering" else {}
    # Learners lie within the margin, however far apart.
    loss = LossConfig(metric_loss=name, margin_divergence=4.1, **settings)
    learners, dim = network.output_shape[1:]
    metric = table.create(loss, Sizes(learners, dim, (0, 1, 2, 3)))
    new = ensemble.new_layer_variables(network)
    trainer = EnsembleTrainer(network, new, loss, ensemble.PARTS, metric=metric)
    own = list(metric.trainable_variables)
    trainer.compile(optimizers.create(TrainingConfig(), for_loss=bool(own)))
    variables = [*network.trainable_variables, *own]
    before = [variable.numpy() for variable in variables]
    pixels = np.random.default_rng(0).integers(0, 256, [8, 32, 32, 3], np.uint8)
    labels = np.repeat(np.arange(4, dtype=np.int32), 2)
    found = trainer.train_step((tf.constant(pixels), tf.constant(labels)))
    assert trainer.failure() is None
    divergence = float(found["loss/divergence"])
    assert (divergence > 0) == (learners > 1)
    np.testing.assert_allclose(
        found["loss/total"], found["loss/metric"] + divergence, rtol=1e-5
    )
    for variable, old in zip(variables, before, strict=True):
        assert np.any(variable.numpy() != old), variable.name
