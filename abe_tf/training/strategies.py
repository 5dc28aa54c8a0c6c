"""Where training runs: one device, or replicas that share each global batch."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator

import tensorflow as tf

from abe_tf.config import cluster
from abe_tf.errors import InputError, WorkerLostError

# What TensorFlow raises in the workers that are left when one is gone.
_WORKER_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.DeadlineExceededError,
    tf.errors.CancelledError,
    tf.errors.InternalError,
)


def create(name: str) -> tf.distribute.Strategy:
    """The strategy that `--strategy` names.

    Of several workers it waits until all have come; it must be made before TensorFlow
    has run anything.

    Args:
      name: "default" (one device), "mirrored" (every GPU of this machine, or every
        logical CPU device where there is none), "multi_worker" (the machines that
        TF_CONFIG names), "tpu", or "auto" (multi_worker where TF_CONFIG names several
        workers, else mirrored where there is more than one GPU).

    Raises:
      InputError: TF_CONFIG names no workers, or no TPU is found.
    """
    workers = cluster.from_environment().workers
    if name == "multi_worker" or (name == "auto" and workers > 1):
        if not workers:
            raise InputError(
                "--strategy=multi_worker needs TF_CONFIG in the environment of each "
                "worker. Received: none (the README has recipes)."
            )
        return _multi_worker()
    if name == "tpu":
        return _tpu()
    gpus = tf.config.list_logical_devices("GPU")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        devices = gpus or tf.config.list_logical_devices("CPU")
        return _mirrored(tuple(device.name for device in devices))
    return tf.distribute.get_strategy()


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    # Each strategy numbers its collective operations from the same start: those of two
    # in one process would be taken for each other.
    return tf.distribute.MirroredStrategy(devices)


def _multi_worker() -> tf.distribute.Strategy:
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise InputError(
            "The workers of TF_CONFIG must reach each other, and each must run one "
            f"task of it. Received: {os.environ['TF_CONFIG']}: "
            f"{str(error).partition(chr(10))[0]}"
        ) from error


def _tpu() -> tf.distribute.Strategy:
    # Not run here: no TPU.
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise InputError(
            "--strategy=tpu needs a TPU that TPU_NAME or the machine tells. "
            f"Received: none: {str(error).partition(chr(10))[0]}"
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def compiles(strategy: tf.distribute.Strategy, jit: str) -> bool:
    """Whether the step is compiled with XLA.

    Args:
      strategy: Where it runs.
      jit: "on", "off" or "auto": on one GPU (not run here). Never on a CPU, where it
        was four to five times slower; not with several replicas, whose collective
        operations TensorFlow does not compile everywhere.
    """
    if jit != "auto":
        return jit == "on"
    one_gpu = len(tf.config.list_logical_devices("GPU")) == 1
    return one_gpu and strategy.num_replicas_in_sync == 1


@contextlib.contextmanager
def lost_workers_named() -> Iterator[None]:
    """Says that a worker was lost, where TensorFlow only knows of a broken operation.

    Raises:
      WorkerLostError: Another worker of several has gone.
    """
    try:
        yield
    except _WORKER_LOST as error:
        if not cluster.from_environment().several:
            raise
        raise WorkerLostError(
            "All workers must stay until the end. Received: one that was lost "
            f"({str(error).partition(chr(10))[0][:200]}). Start all of them again: "
            "they go on from the last checkpoint."
        ) from error


def check_batch(
    strategy: tf.distribute.Strategy,
    batch_size: int,
    what: str = "--classes_per_batch times --images_per_class",
) -> None:
    """Refuses a global batch that the replicas cannot share evenly.

    Raises:
      InputError: The batch is no multiple of the number of replicas.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise InputError(
            f"{what} must be a multiple of the number of replicas. "
            f"Received: {batch_size} and {replicas}."
        )
