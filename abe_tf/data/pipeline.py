"""tf.data pipelines over examples: training batches, and one pass for evaluation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from abe_tf.data.datasets import Examples
from abe_tf.data.preprocessing import Preprocessing
from abe_tf.data.sampling import ClassSampler
from abe_tf.errors import InputError


def training_batches(
    examples: Examples,
    sampler: ClassSampler,
    preprocessing: Preprocessing,
    seed: int,
    first: int,
    end: int,
) -> tf.data.Dataset:
    """The batches of steps `first` to `end - 1`, counted from 0.

    Every random operation is keyed by the seed and by how many images the run has drawn
    before, so that a resumed run sees the very crops of an uninterrupted one.

    Returns:
      Batches of uint8 RGB `[batch, height, width, 3]` and int32 labels `[batch]`.
    """

    def draws() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for number in range(first, end):
            batch = sampler.batch(number)
            yield batch, number * len(batch) + np.arange(len(batch))

    def load(key: tf.Tensor, label: tf.Tensor, draw: tf.Tensor) -> tuple:
        # Two seeds a draw: one for the crop, the next for the flip.
        image_seed = tf.stack([tf.constant(seed, tf.int64), 2 * draw])
        return preprocessing.for_training(examples.read(key), image_seed), label

    batch_size = len(sampler.batch(first))
    signature = tf.TensorSpec([batch_size], tf.int64)
    positions = tf.data.Dataset.from_generator(
        draws, output_signature=(signature, signature)
    )
    images = positions.map(
        lambda position, draw: (
            tf.gather(examples.keys, position),
            tf.gather(examples.labels, position),
            draw,
        )
    ).unbatch()
    images = images.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    batches = images.batch(batch_size, drop_remainder=True)
    return batches.prefetch(2).apply(
        tf.data.experimental.assert_cardinality(end - first)
    )


def evaluation_batches(
    examples: Examples, preprocessing: Preprocessing, batch_size: int
) -> tf.data.Dataset:
    """One pass over the examples in order; uint8 RGB `[batch, height, width, 3]`."""

    def load(key: tf.Tensor) -> tf.Tensor:
        return preprocessing.for_evaluation(examples.read(key))

    images = tf.data.Dataset.from_tensor_slices(examples.keys)
    images = images.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    return images.batch(batch_size).prefetch(2)


@contextlib.contextmanager
def unreadable_images_named(
    examples: Examples, preprocessing: Preprocessing
) -> Iterator[None]:
    """Names the image that breaks a pipeline inside, which itself cannot.

    Raises:
      InputError: An image cannot be read.
    """
    try:
        yield
    except tf.errors.OpError:
        _check_readable(examples, preprocessing)
        raise


def _check_readable(examples: Examples, preprocessing: Preprocessing) -> None:
    @tf.function
    def load(key: tf.Tensor) -> tf.Tensor:
        return preprocessing.for_evaluation(examples.read(key))

    for key, name in zip(examples.keys, examples.names, strict=True):
        try:
            load(tf.constant(key))
        except tf.errors.OpError as error:
            # Below the reason stands the node's trace; before it, where in the program
            # the node was made, or the function's name.
            reason = error.message.split("\n\t [[")[0].splitlines()[-1]
            reason = reason.split("}} ")[-1].rstrip(".")
            raise InputError(
                "Every image must be a readable JPEG or PNG file. "
                f"Received: {name!r}: {reason}. Repair or remove it."
            ) from error
