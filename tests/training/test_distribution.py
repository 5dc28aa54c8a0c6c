"""The loss is the global batch's, however many replicas share it."""

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.data import DataConfig
from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.data import datasets
from abe_tf.data.pipeline import Loader, training_batches
from abe_tf.data.preprocessing import Preprocessing
from abe_tf.data.sampling import ClassSampler
from abe_tf.errors import InputError
from abe_tf.models.build import build
from abe_tf.models.ensemble import new_layer_variables
from abe_tf.training import optimizers, strategies
from abe_tf.training.trainer import EnsembleTrainer

SIZE = 32
# Plain gradient descent, so that one step's change of the weights is the gradient.
SGD = TrainingConfig(
    optimizer="sgd", momentum=0.0, learning_rate=1.0, schedule="constant"
)
MODEL = ModelConfig(num_learners=2, embedding_dim=16, freeze_batch_norm=True)


def batch():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, [12, SIZE, SIZE, 3], np.uint8)
    # Classes reach across the replicas.
    return pixels, np.array([0, 1, 2, 3, 4, 5] * 2, np.int32)


def one_step(strategy_name, loss):
    """The change of every variable, and what was logged."""
    strategy = strategies.create(strategy_name)
    tf.keras.utils.set_random_seed(0)
    with strategy.scope():
        network = build(MODEL, SIZE)
        trainer = EnsembleTrainer(network, new_layer_variables(network), loss)
        trainer.compile(optimizers.create(SGD))
    before = [value.copy() for value in network.get_weights()]
    data = tf.data.Dataset.from_tensors(batch()).unbatch().batch(12)
    logs = trainer.fit(data, verbose=0).history
    after = network.get_weights()
    return [b - a for a, b in zip(before, after, strict=True)], logs


@pytest.mark.parametrize("reduction", ["mean", "published"])
def test_two_replicas_give_the_gradients_of_one(reduction):
    loss = LossConfig(loss_reduction=reduction, lambda_div=0.5)
    assert strategies.create("mirrored").num_replicas_in_sync == 2
    alone, logs_alone = one_step("default", loss)
    shared, logs_shared = one_step("mirrored", loss)
    flat_alone, flat_shared = (
        np.concatenate([change.ravel() for change in changes])
        for changes in (alone, shared)
    )
    difference = np.linalg.norm(flat_alone - flat_shared)
    assert np.linalg.norm(flat_alone) > 0
    assert difference < 1e-5 * np.linalg.norm(flat_alone)
    for tag, values in logs_alone.items():
        np.testing.assert_allclose(logs_shared[tag], values, rtol=1e-4)


def test_replicas_share_one_batch_of_the_pipeline(photos):
    """Each image of the global batch goes to one replica, in the batch's order."""
    data = DataConfig(
        dataset="image_folder", data_dir=str(photos), image_size=SIZE, resize_size=36
    )
    train = datasets.load(data).train
    loader = Loader(train, Preprocessing.of(data))
    sampler = ClassSampler(train.labels, [2] * 4, 0)
    strategy = strategies.create("mirrored")
    alone = training_batches(loader, sampler, 0, 0, 3)
    shared = strategy.experimental_distribute_dataset(
        training_batches(loader, sampler, 0, 0, 3)
    )
    for whole, parts in zip(alone, shared, strict=True):
        for expected, part in zip(whole, parts, strict=True):
            local = strategy.experimental_local_results(part)
            assert [len(values) for values in local] == [4, 4]
            np.testing.assert_array_equal(np.concatenate(local), expected)


def test_auto_uses_one_device_where_there_is_no_second_gpu():
    if len(tf.config.list_logical_devices("GPU")) > 1:
        pytest.skip("this machine has several GPUs, where auto means mirrored")
    assert strategies.create("auto").num_replicas_in_sync == 1


def test_a_batch_that_replicas_cannot_share_is_refused():
    with pytest.raises(InputError, match="Received: 9 and 2"):
        strategies.check_batch(strategies.create("mirrored"), 9)
