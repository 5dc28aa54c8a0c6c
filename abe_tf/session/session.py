"""Puts the rooms together for one training session; no other file knows them all."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from abe_tf.config import cluster
from abe_tf.data import datasets, samplers
from abe_tf.data.pipeline import Loader, Share, cached_loader, training_batches
from abe_tf.data.pixels.preprocessing import Preprocessing
from abe_tf.data.sampling import Sampler
from abe_tf.data.unreadable import unreadable_images_named
from abe_tf.errors import InputError
from abe_tf.retrieval.embedding import Embedder
from abe_tf.runs import records
from abe_tf.runs.folder import RunFolder
from abe_tf.runs.held_out import HeldOut
from abe_tf.session import announcing, dry_run
from abe_tf.session.building import build_trainer
from abe_tf.session.flags import SessionFlags
from abe_tf.session.validation import RECALL_TAG, Validation
from abe_tf.storage import checkpoints
from abe_tf.training import callbacks, strategies
from abe_tf.training.checkpoints import Checkpoints
from abe_tf.training.guards import FiniteGuard
from abe_tf.training.metrics_writer import MetricsWriter
from abe_tf.training.progress import Clock, Console
from abe_tf.training.signals import StopSignals

# Batches that are read ahead of the step, and some more.
_AHEAD = 16
# Of the seeds that two batches of one step are cropped from.
_APART = 2**40


class Session:
    """A training from its first step, or from where its run folder stopped.

    Building it loads data and network and writes nothing. Where several processes train
    together, it waits for them.

    Raises:
      InputError: Data, weights or checkpoint do not fit the flags.
    """

    def __init__(self, folder: RunFolder, flags: SessionFlags) -> None:
        self._folder = folder
        data, training = flags.run.data, flags.run.training
        tf.keras.utils.set_random_seed(training.seed)
        if training.deterministic:
            tf.config.experimental.enable_op_determinism()
        # Before anything runs: TensorFlow wants several workers to meet first.
        self._strategy = strategies.create(training.strategy)
        self._cluster = cluster.from_environment()
        self._writes = self._cluster.is_chief and not flags.session.dry_run
        self._console = Console(silent=not self._cluster.is_chief)
        # Each process has one of its own, whatever the strategy mirrors.
        self._stop = tf.Variable(0, trainable=False) if self._cluster.several else None
        self._splits = datasets.load(data)
        held_out = HeldOut(folder.path, data.data_dir)
        self._splits = held_out.keep(self._splits)
        data = datasets.fitted(folder.data(data), self._splits)
        self._run = dataclasses.replace(flags.run, data=data)
        self._flags = dataclasses.replace(flags, run=self._run)
        strategies.check_batch(self._strategy, data.batch_size)
        train = self._splits.train
        folder.check_classes(train.class_names)
        self._sampler = samplers.create(data, train, training.seed)
        self._meta_sampler, by_domain = None, data.batches == "domains"
        if training.meta:
            self._meta_sampler = samplers.of_meta(data, training, train, training.seed)
            strategies.check_batch(
                self._strategy,
                training.meta_classes * training.meta_images,
                "--meta_classes times --meta_images",
            )
        self._domains = train.domain_names() if training.meta or by_domain else []
        if self._domains:
            folder.check_domains(self._domains)
        self._preprocessing = Preprocessing.of(data)
        with self._strategy.scope():
            self._trainer = build_trainer(
                self._run,
                np.unique(train.labels).tolist(),
                self._strategy,
                self._stop,
                begun=bool(checkpoints.steps(folder.checkpoints("last"))),
                domains=self._meta_sampler.domains if self._meta_sampler else 0,
            )
            self._checkpoints = Checkpoints(
                self._trainer,
                folder.checkpoints("last"),
                folder.checkpoints("best"),
                training.keep,
                self._console.line,
                self._writes,
                train.class_names,
            )
        self._start = self._checkpoints.restore()

    def train(self) -> signal.Signals | None:
        """Trains to the last step, or until a signal.

        Returns:
          The signal that stopped it, or `None`.

        Raises:
          InputError: A loss was not finite, the last checkpoint could not be written,
            or a worker was lost.
        """
        with (
            StopSignals(self._console.line) as signals,
            strategies.lost_workers_named(),
        ):
            self._agree_on_start()
            self._announce()
            if self._start == 0:
                self._begin()
            self._go_further()
            if self._is_finished():
                return None
            if self._start >= self._run.training.steps:
                return self._evaluate_last_step(signals)
            return self._fit(signals)

    def _is_finished(self) -> bool:
        """Whether the last step is done, and evaluated too."""
        start = self._start
        trained = start >= self._run.training.steps
        return trained and self._checkpoints.evaluated_step >= start

    def _evaluate_last_step(self, signals: StopSignals) -> signal.Signals | None:
        """Makes up for the last evaluation of a run, which a signal broke off."""
        _, evaluation, *_, saving = self._callbacks(signals)
        for callback in (evaluation, saving):
            callback.set_model(self._trainer)
        evaluation.on_train_begin()
        saving.after_step(self._start, {"stop": 0})
        return self._ended(saving)

    def _go_further(self) -> None:
        """Says what more steps mean for the rest of a run."""
        training = self._run.training
        before = self._folder.go_on_to(training.steps) if self._writes else None
        if before is not None and training.schedule != "constant":
            self._console.line(
                f"{training.steps} steps instead of {before}: the learning rate "
                f"follows --schedule={training.schedule} over all of them from here, "
                "and jumps. A run of as many steps from the start is another one."
            )

    def _fit(self, signals: StopSignals) -> signal.Signals | None:
        steps = self._run.training.steps
        if self._writes:
            records.cut_metrics(self._folder.metrics, self._start)
        *others, saving = self._callbacks(signals)
        loader = cached_loader(
            self._splits.train, self._preprocessing, self._run.data.cache
        )
        with unreadable_images_named(loader, self._due):
            self._trainer.fit(
                self._batches(loader, self._start, steps),
                steps_per_epoch=steps - self._start,
                callbacks=[*others, saving],
                verbose=0,
            )
        return self._ended(saving)

    def _ended(self, saving: callbacks.Saving) -> signal.Signals | None:
        """The signal that ended the session, once the last checkpoint is written."""
        if saving.failed:
            raise InputError(
                "The last checkpoint must be written. Received: none (see above). Free "
                "the disk; the same command goes on from the one before."
            )
        if saving.stopped_by:
            self._console.line("Stopped. The same command goes on from here.")
        return saving.stopped_by

    def _due(self) -> Iterator[int]:
        """Positions of the images of the next batches, which are read ahead."""
        step = self._checkpoints.step()
        for number in range(step, min(step + _AHEAD, self._run.training.steps)):
            for sampler in self._samplers():
                yield from map(int, sampler.batch(number))

    def _samplers(self) -> list[Sampler]:
        meta = self._meta_sampler
        return [self._sampler] if meta is None else [self._sampler, meta]

    def try_out(self) -> None:
        """Runs one step and one evaluation batch, and tells what it took."""
        self._announce()
        network = self._trainer.network
        loader = Loader(self._splits.train, self._preprocessing)
        with unreadable_images_named(loader):
            self._trainer.fit(self._batches(loader, 0, 1), steps_per_epoch=1, verbose=0)
        held_out = self._splits.validation
        examples = held_out if len(held_out) else self._splits.test
        size = self._flags.evaluation.eval_batch_size
        few = examples.where(np.arange(len(examples)) < size)
        embeddings = Embedder(network)(Loader(few, self._preprocessing), size)
        batch = (self._sampler.batch_size, *network.input_shape[1:])
        dry_run.report(network, batch, embeddings.shape, self._console.line)

    def _agree_on_start(self) -> None:
        if not self._cluster.several:
            return
        each = self._strategy.run(lambda: tf.constant([self._start]))
        starts = self._strategy.gather(each, axis=0).numpy().tolist()
        if len(set(starts)) > 1:
            raise InputError(
                "All workers must see the same run folder. Received: "
                f"{self._folder.path!r}, with last checkpoints of steps "
                f"{', '.join(map(str, starts))}. Put it on a file system that they "
                "share."
            )

    def _begin(self) -> None:
        """Writes what is known before the first step."""
        if self._writes:
            devices = [d.name for d in tf.config.list_logical_devices()]
            class_names = self._splits.train.class_names
            self._folder.write_record(self._run, class_names, devices)
            if self._domains:
                self._folder.write_domains(self._domains)
            HeldOut(self._folder.path, self._run.data.data_dir).record(self._splits)
        if self._checkpoints.save() is None:
            raise InputError(
                "The run folder must have room for a checkpoint. Received: "
                f"{self._folder.path!r}, which has none. Free the disk."
            )

    def _batches(self, loader: Loader, first: int, end: int) -> tf.data.Dataset:
        seed = self._run.training.seed

        def batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
            each = [
                training_batches(
                    *(loader, sampler, seed + number * _APART, first, end),
                    share=Share.of(context),
                )
                for number, sampler in enumerate(self._samplers())
            ]
            return each[0] if len(each) == 1 else tf.data.Dataset.zip(tuple(each))

        return self._strategy.distribute_datasets_from_function(batches)

    def _announce(self) -> None:
        say = self._console.line
        announcing.images(say, self._splits, self._sampler, self._run.data)
        if self._meta_sampler is not None:
            announcing.second_batch(say, self._meta_sampler)
        workers = max(1, self._cluster.workers)
        announcing.network(
            say, self._trainer.network, self._strategy.num_replicas_in_sync, workers
        )
        steps, path = self._run.training.steps, self._folder.path
        if self._start and self._is_finished():
            say(f"Finished already: step {self._start}/{steps} in {path}")
        elif self._start >= steps > 0:
            say(f"Evaluating the last step, {self._start}/{steps}, of {path}")
        elif self._start:
            say(f"Going on after step {self._start}/{steps} of {path}")
        else:
            say(f"Training {steps} steps into {path}")

    def _callbacks(self, signals: StopSignals) -> list:
        flags, start = self._run.training, self._start
        logdir = self._folder.tensorboard if self._writes else None
        writer = MetricsWriter(logdir, self._folder.metrics)
        with writer.events.as_default(step=start):
            hparams.hparams(self._flags.hyperparameters())
        context = callbacks.Context(
            start,
            flags.steps,
            Clock(),
            self._console,
            writer,
            FiniteGuard(self._trainer, self._names_of_batch),
            signals,
        )
        chosen: list = [
            callbacks.Telemetry(
                *(context, flags.log_every),
                sum(sampler.batch_size for sampler in self._samplers()),
            ),
            callbacks.Evaluation(
                context,
                flags.eval_every,
                self._validation(logdir),
                RECALL_TAG,
                self._checkpoints,
                alone=self._stop is None,
            ),
        ]
        profiled = self._flags.session.profiled()
        if profiled and logdir:
            chosen.append(callbacks.Profile(context, *profiled, logdir))
        saving = callbacks.Saving(
            context, flags.checkpoint_every, self._checkpoints, self._stop
        )
        return [*chosen, saving]

    def _validation(self, logdir: str | None) -> Validation:
        return Validation(
            self._trainer.network,
            self._splits.validation,
            self._splits.train,
            self._preprocessing,
            self._flags.evaluation,
            self._flags.evaluation.ks(self._run.data),
            self._run.data.cache,
            self._run.training.pictures,
            logdir,
        )

    def _names_of_batch(self, number: int) -> list[str]:
        names = self._splits.train.names
        return [
            str(names[position])
            for sampler in self._samplers()
            for position in sampler.batch(number)
        ]
