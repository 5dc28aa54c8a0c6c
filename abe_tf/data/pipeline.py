"""tf.data pipelines over examples: training batches, and one pass for evaluation."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import sys
from collections.abc import Callable, Collection, Iterator

import numpy as np
import tensorflow as tf

from abe_tf.config.sizes import sides
from abe_tf.data.examples import Examples, in_memory
from abe_tf.data.pixels import kinds
from abe_tf.data.pixels.preprocessing import Augmentation, Preprocessing
from abe_tf.data.sampling import Sampler
from abe_tf.data.unreadable import Unreadable, unreadable, unreadable_images_named

# Files that are looked at at once.
_LOOKING = 16


def mapped(
    elements: tf.data.Dataset,
    function: Callable,
    parallel: int | None = tf.data.AUTOTUNE,
) -> tf.data.Dataset:
    """A function of each element, as it is written.

    AutoGraph would rewrite all that it calls, which takes seconds and changes nothing:
    the house writes `tf.cond` where it means one.

    Args:
      elements: What it is applied to.
      function: Takes what an element holds.
      parallel: Calls at once; one where `None`.
    """
    as_written = tf.autograph.experimental.do_not_convert(function)
    return elements.map(as_written, num_parallel_calls=parallel)


class Loader:
    """Preprocessed images by their position among the examples; graph functions.

    Args:
      examples: The images.
      preprocessing: From their bytes to pixels.
      cache: "none", or what is kept in memory: "encoded" files, or "decoded" images,
        scaled and padded. Reads all images at once.
    """

    def __init__(
        self, examples: Examples, preprocessing: Preprocessing, cache: str = "none"
    ) -> None:
        self.examples, self.preprocessing = examples, preprocessing
        self._scaled: tf.Tensor | None = None
        # `for_evaluation`, traced once, however many pipelines and pictures need it:
        # that takes seconds.
        self.traced_for_evaluation = tf.function(
            self.for_evaluation, [tf.TensorSpec([], tf.int64)], autograph=False
        )
        if cache == "encoded":
            encoded = [b.numpy() for b in self._over_all(self._read)]
            keys = np.arange(len(examples))
            self.examples = dataclasses.replace(
                examples, keys=keys, read=in_memory(encoded)
            )
        elif cache == "decoded":
            size = sides(preprocessing.scaled_size)
            pixels = np.empty([len(examples), *size, 3], np.uint8)
            scaled = self._over_all(
                lambda i: preprocessing.scaled(self._read(i), self._box(i))
            )
            for position, image in enumerate(scaled):
                pixels[position] = image
            # All of a data set: a GPU would have no room for it.
            with tf.device("CPU"):
                self._scaled = tf.constant(pixels)

    def for_training(
        self, position: tf.Tensor, augmentation: Augmentation
    ) -> tf.Tensor:
        """The image at a scalar int64 position, cropped as was drawn."""
        if self._scaled is not None:
            scaled = tf.gather(self._scaled, position)
            return self.preprocessing.crop_for_training(scaled, augmentation)
        encoded = self._read(position)
        return self.preprocessing.for_training(
            encoded, augmentation, self._box(position)
        )

    def for_evaluation(self, position: tf.Tensor) -> tf.Tensor:
        """The centre of the image at a scalar int64 position."""
        if self._scaled is not None:
            scaled = tf.gather(self._scaled, position)
            return self.preprocessing.crop_for_evaluation(scaled)
        encoded = self._read(position)
        return self.preprocessing.for_evaluation(encoded, self._box(position))

    def pixels(self, positions: np.ndarray) -> np.ndarray:
        """uint8 RGB `[images, height, width, 3]` as evaluation sees them.

        Raises:
          InputError: An image cannot be read.
        """
        with unreadable_images_named(self, lambda: positions):
            return np.stack(
                [self.traced_for_evaluation(int(i)).numpy() for i in positions]
            )

    def _read(self, position: tf.Tensor) -> tf.Tensor:
        return self.examples.read(tf.gather(self.examples.keys, position))

    def _box(self, position: tf.Tensor) -> tf.Tensor | None:
        boxes = self.examples.boxes
        return None if boxes is None else tf.gather(boxes, position)

    def _over_all(self, function: Callable[[tf.Tensor], tf.Tensor]) -> tf.data.Dataset:
        positions = tf.data.Dataset.range(len(self.examples))
        return mapped(positions, function)


@dataclasses.dataclass(frozen=True)
class Share:
    """The replicas that one process feeds, of all that share a global batch.

    Attributes:
      first: Number of its first replica.
      count: Number of replicas that it feeds.
      total: Number of replicas that there are.
    """

    first: int = 0
    count: int = 1
    total: int = 1

    @classmethod
    def of(cls, context: tf.distribute.InputContext) -> Share:
        """The share of the process that TensorFlow asks for its data."""
        total = context.num_replicas_in_sync
        count = total // context.num_input_pipelines
        return cls(context.input_pipeline_id * count, count, total)

    def slice(self, size: int) -> slice:
        """Places of a global batch of `size` images, a multiple of `total`."""
        each = size // self.total
        return slice(self.first * each, (self.first + self.count) * each)


def training_batches(
    loader: Loader,
    sampler: Sampler,
    seed: int,
    first: int,
    end: int,
    parallel: int = tf.data.AUTOTUNE,
    share: Share = Share(),  # noqa: B008  (frozen)
) -> tf.data.Dataset:
    """The batches of steps `first` to `end - 1`, counted from 0.

    Every random operation is keyed by the seed, the number of the batch and the place
    in it, so that a resumed run sees the very crops of an uninterrupted one.

    Args:
      loader: Gives the images.
      sampler: Says which ones come.
      seed: Seed of the run.
      first: Steps that are done.
      end: Steps that shall be done.
      parallel: Images that are decoded at once.
      share: Whose part of each batch; nothing else is read.

    Returns:
      uint8 RGB `[batch, height, width, 3]` and int32 labels `[batch]`, one element a
      replica of the share, replica after replica; of one replica the whole batch.
    """
    size, places = sampler.batch_size, share.slice(sampler.batch_size)
    labels = tf.constant(loader.examples.labels)

    def positions() -> Iterator[tuple[np.ndarray, int]]:
        for number in range(first, end):
            yield sampler.batch(number)[places], number

    def sampled(batch: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, Augmentation]:
        whole = loader.preprocessing.sample(seed, number, size)
        return batch, tf.nest.map_structure(lambda value: value[places], whole)

    def load(
        position: tf.Tensor, augmentation: Augmentation
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return loader.for_training(position, augmentation), tf.gather(labels, position)

    # What can be done for a batch at once is done before the images part.
    local = places.stop - places.start
    signature = (tf.TensorSpec([local], tf.int64), tf.TensorSpec([], tf.int64))
    numbered = tf.data.Dataset.from_generator(positions, output_signature=signature)
    images = mapped(mapped(numbered, sampled, None).unbatch(), load, parallel)
    batches = images.batch(size // share.total, drop_remainder=True)
    return batches.prefetch(2 * share.count).apply(
        tf.data.experimental.assert_cardinality((end - first) * share.count)
    )


def evaluation_batches(
    loader: Loader,
    batch_size: int,
    share: Share = Share(),  # noqa: B008  (frozen)
) -> tf.data.Dataset:
    """One pass over the examples in order.

    Args:
      loader: Gives the images.
      batch_size: Batch size of a replica.
      share: Whose part; of several replicas all have as many batches of the same sizes,
        with the last image again where the images do not come out even.

    Returns:
      uint8 RGB `[batch, height, width, 3]`, one element a replica of the share.
    """
    count, whole = len(loader.examples), batch_size * share.total
    rounds = np.arange(count - count % whole).reshape(-1, whole)
    last = np.arange(count - count % whole, count)
    last = np.pad(last, (0, -len(last) % share.total), mode="edge")
    mine = [rounds[:, share.slice(whole)].ravel(), last[share.slice(len(last))]]
    positions = np.concatenate(mine).astype(np.int64)
    # One pipeline for whole and other batches: each begins by preparing all that
    # decoding may need, which takes a second.
    images = mapped(
        tf.data.Dataset.from_tensor_slices(positions), loader.traced_for_evaluation
    )
    batches = images.batch(batch_size * share.count)
    if share.count > 1:

        def parted(batch: tf.Tensor) -> tf.Tensor:
            return tf.reshape(batch, [share.count, -1, *batch.shape[1:]])

        batches = mapped(batches, parted, None).unbatch()
    return batches.prefetch(2 * share.count)


def cached_loader(
    examples: Examples, preprocessing: Preprocessing, cache: str
) -> Loader:
    """A loader that has read what it keeps in memory.

    Args:
      examples: The images.
      preprocessing: From their bytes to pixels.
      cache: What is kept in memory, as for `Loader`.

    Raises:
      InputError: An image cannot be read.
    """
    with unreadable_images_named(Loader(examples, preprocessing)):
        return Loader(examples, preprocessing, cache)


def check_images(
    examples: Examples,
    preprocessing: Preprocessing,
    all_of_them: bool,
    left_out: Collection[int] = (),
) -> list[Unreadable]:
    """Finds the images that cannot be read.

    Args:
      examples: The images.
      preprocessing: What decodes them.
      all_of_them: Whether to decode all. Otherwise only those are decoded whose file
        does not begin and end as a whole one does.
      left_out: Positions of images that are known to be broken.

    Returns:
      Position, name and reason of each that cannot be read.
    """
    positions, doubted = np.arange(len(examples)), np.arange(0)
    if examples.files is not None:
        # Files wait for the disk, which is what threads are for.
        with concurrent.futures.ThreadPoolExecutor(_LOOKING) as pool:
            whole = np.fromiter(pool.map(kinds.looks_whole, examples.files), bool)
        doubted = positions[~whole]
    positions = positions if all_of_them else doubted
    positions = np.setdiff1d(positions, np.array(list(left_out), int))
    if not len(positions):
        return []
    loader = Loader(examples, preprocessing)
    # Each by itself, once more: only what fails then is broken, and has a reason.
    bad = list(unreadable(loader, _undecoded(loader, positions)))
    read = np.setdiff1d(positions, [one.position for one in bad])
    files = examples.files or ()
    _tell_mended([files[position] for position in np.intersect1d(read, doubted)])
    return bad


def _tell_mended(files: list[str]) -> None:
    """Names and counts those that are read although their end marker is missing."""
    mended = []
    for path in files:
        with open(path, "rb") as file:
            if kinds.lacks_end(file.read()):
                mended.append(path)
    if mended:
        print(
            "JPEG files without their end marker, read as viewers show them: "
            f"{len(mended):,}: {', '.join(map(repr, mended))}",
            file=sys.stderr,
        )


def _undecoded(loader: Loader, positions: np.ndarray) -> np.ndarray:
    """Which of some positions a pass over their images did not give."""
    decoded = mapped(
        tf.data.Dataset.from_tensor_slices(positions),
        # The sum, so that decoding is not optimised away.
        lambda i: (i, tf.reduce_sum(tf.cast(loader.for_evaluation(i), tf.int32))),
    ).ignore_errors()
    return np.setdiff1d(positions, [int(position) for position, _ in decoded])
