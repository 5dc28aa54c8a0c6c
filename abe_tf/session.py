"""Puts the rooms together for one training session; no other file knows them all."""

from __future__ import annotations

import signal
from collections.abc import Callable

import tensorflow as tf

from abe_tf import runs
from abe_tf.config.data import DataConfig
from abe_tf.config.evaluation import EvaluationConfig
from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.data import datasets
from abe_tf.data.pipeline import (
    Loader,
    evaluation_batches,
    training_batches,
    unreadable_images_named,
)
from abe_tf.data.preprocessing import Preprocessing
from abe_tf.data.sampling import ClassSampler
from abe_tf.models.build import build
from abe_tf.models.ensemble import new_layer_variables
from abe_tf.retrieval.embedding import Embedder
from abe_tf.retrieval.recall import Embedded, measure_recall
from abe_tf.run_folder import RunFolder
from abe_tf.training import callbacks, optimizers, strategies
from abe_tf.training.checkpoints import Checkpoints
from abe_tf.training.progress import Clock, Console
from abe_tf.training.trainer import EnsembleTrainer

_RECALL_TAG = "validation/recall@1"


class Session:
    """A training from its first step, or from where its run folder stopped.

    Building it loads data and network and writes nothing.

    Raises:
      InputError: Data, weights or checkpoint do not fit the flags.
    """

    def __init__(
        self,
        folder: RunFolder,
        model: ModelConfig,
        data: DataConfig,
        loss: LossConfig,
        training: TrainingConfig,
        evaluation: EvaluationConfig,
    ) -> None:
        self._folder, self._data, self._training = folder, data, training
        self._evaluation = evaluation
        self._configs = [model, data, loss, training]
        self._console = Console()
        self._splits = datasets.load(data)
        folder.check_classes(self._splits.train.class_names)
        train = self._splits.train
        self._sampler = ClassSampler(
            train.labels, data.images_per_slot, training.seed, train.class_names
        )
        self._preprocessing = Preprocessing.of(data)
        self._trainer = self._build_trainer(model, loss)
        self._checkpoints = Checkpoints(
            self._trainer, folder.checkpoints("last"), folder.checkpoints("best")
        )
        self._start = self._checkpoints.restore()
        if self._start == 0 and training.init_from:
            runs.initialise(self._trainer.network, training.init_from)

    def _build_trainer(self, model: ModelConfig, loss: LossConfig) -> EnsembleTrainer:
        tf.keras.utils.set_random_seed(self._training.seed)
        if self._training.deterministic:
            tf.config.experimental.enable_op_determinism()
        strategy = strategies.create(self._training.strategy)
        strategies.check_batch(strategy, self._data.batch_size)
        with strategy.scope():
            network = build(model, self._data.image_size)
            trainer = EnsembleTrainer(network, new_layer_variables(network), loss)
            trainer.compile(optimizers.create(self._training))
        return trainer

    def train(self) -> signal.Signals | None:
        """Trains to the last step, or until a signal.

        Returns:
          The signal that stopped it, or `None`.
        """
        self._announce()
        if self._start == 0:
            class_names = self._splits.train.class_names
            self._folder.record(self._configs, class_names)
            self._checkpoints.save(0)
        if self._start >= self._training.steps:
            return None
        loader = Loader(self._splits.train, self._preprocessing)
        with unreadable_images_named(loader):
            loader = Loader(self._splits.train, self._preprocessing, self._data.cache)
        batches = training_batches(
            loader,
            self._sampler,
            self._training.seed,
            self._start,
            self._training.steps,
        )
        *others, saving = self._callbacks()
        with unreadable_images_named(loader):
            self._trainer.fit(
                batches,
                steps_per_epoch=self._training.steps - self._start,
                callbacks=[*others, saving],
                verbose=0,
            )
        if saving.stopped_by:
            self._console.line("Stopped. The same command goes on from here.")
        return saving.stopped_by

    def _announce(self) -> None:
        for name in ("train", "validation", "test"):
            examples = getattr(self._splits, name)
            classes = examples.num_classes()
            self._console.line(f"{name}: {len(examples)} images of {classes} classes")
        if self._splits.gallery is not None:
            images = len(self._splits.gallery)
            self._console.line(f"gallery of the test: {images} images")
        if self._sampler.num_small_classes:
            self._console.line(
                f"{self._sampler.num_small_classes} training classes have one image, "
                "and come in negative pairs only"
            )
        parameters = self._trainer.network.count_params()
        self._console.line(f"{self._trainer.network.name}: {parameters:,} parameters")
        steps, path = self._training.steps, self._folder.path
        if self._start >= steps > 0:
            self._console.line(
                f"Finished already: step {self._start}/{steps} in {path}"
            )
        elif self._start:
            self._console.line(f"Going on after step {self._start}/{steps} of {path}")
        else:
            self._console.line(f"Training {steps} steps into {path}")

    def _callbacks(self) -> list:
        clock, start, steps = Clock(), self._start, self._training.steps
        writer = tf.summary.create_file_writer(self._folder.tensorboard)
        found: list = [
            callbacks.Telemetry(
                start,
                steps,
                self._training.log_every,
                self._data.batch_size,
                writer,
                clock,
                self._console,
            )
        ]
        if len(self._splits.validation):
            found.append(
                callbacks.Evaluation(
                    start,
                    steps,
                    self._training.eval_every,
                    self._validator(),
                    _RECALL_TAG,
                    self._checkpoints,
                    writer,
                    clock,
                    self._console,
                )
            )
        every = self._training.checkpoint_every
        found.append(
            callbacks.Saving(
                start, steps, every, self._checkpoints, clock, self._console
            )
        )
        return found

    def _validator(self) -> Callable[[], dict[str, float]]:
        """Recall on the validation classes, as TensorBoard shows it."""
        examples, evaluation = self._splits.validation, self._evaluation
        embedder = Embedder(self._trainer.network)
        loader = Loader(examples, self._preprocessing)
        with unreadable_images_named(loader):
            loader = Loader(examples, self._preprocessing, self._data.cache)
        batches = evaluation_batches(loader, evaluation.eval_batch_size)

        def evaluate() -> dict[str, float]:
            with unreadable_images_named(loader):
                embeddings = embedder(batches)
            # The best checkpoint is chosen by Recall@1.
            ks = tuple(sorted({1, *evaluation.ks(self._data)}))
            embedded = Embedded(embeddings, examples.labels)
            recall = measure_recall(embedded, ks, evaluation.block)
            individual = recall.individual_mean()[1]
            return {
                **{f"validation/recall@{k}": recall.ensemble[k] for k in ks},
                "validation/individual_recall@1": individual,
            }

        return evaluate
