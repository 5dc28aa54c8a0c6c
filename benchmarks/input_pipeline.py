"""Is the input pipeline as fast as decoding, and does its memory stay flat?

pip install -r benchmarks/requirements.txt
python -m benchmarks.input_pipeline --data_dir=GROCERY

Images a second of the whole training pipeline (sampling, reading, decoding, a random
224 x 224 crop, flip, batching) over JPEG files, against

* bare `tf.io.decode_jpeg` over the files of the same batches, in a tf.data pipeline
  with the same number of parallel calls;
* PyTorch's DataLoader with as many processes, Pillow doing the same transformation.

The three take turns in one run, and each ratio is of two neighbouring turns. Every turn
starts its pipeline anew: one that waits for its next turn would fill its buffers. Then
the peak memory of a process that trains on the files listed once, and ten times.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
from absl import app, flags

_DATA_DIR = flags.DEFINE_string("data_dir", None, "folder of class folders of JPEGs")
_ROUNDS = flags.DEFINE_integer("rounds", 9, "turns of each pipeline")
_STEPS = flags.DEFINE_integer("steps", 100, "batches a turn")
_PARALLEL = flags.DEFINE_integer("parallel", os.cpu_count(), "images at once")
# 16 classes x 4 images a batch.
_SIZE, _SCALED, _CLASSES, _IMAGES = 224, 256, 16, 4
_UNTIMED = 5


def our_batches(data_dir: str, parallel: int, copies: int = 1) -> Iterator:
    """Our pipeline; the files are listed `copies` times."""
    from abe_tf.config.data import DataConfig
    from abe_tf.data import folders
    from abe_tf.data.examples import from_paths
    from abe_tf.data.pipeline import Loader, training_batches
    from abe_tf.data.pixels.preprocessing import Preprocessing
    from abe_tf.data.sampling import ClassSampler

    once = folders.image_folder(data_dir)
    labels = np.tile(once.labels, copies)
    examples = from_paths(list(once.names) * copies, labels, once.class_names)
    data = DataConfig(dataset="image_folder", data_dir=data_dir, image_size=_SIZE)
    loader = Loader(examples, Preprocessing.of(data))
    sampler = ClassSampler(labels, [_IMAGES] * _CLASSES, 0)
    return iter(training_batches(loader, sampler, 0, 0, 10**6, parallel))


def bare_batches(data_dir: str, parallel: int) -> Iterator:
    """The files of the same batches, decoded; of each image only its size is kept."""
    import tensorflow as tf

    paths, sampler = _paths_and_sampler(data_dir)

    def files() -> Iterator[np.ndarray]:
        for number in range(10**6):
            yield paths[sampler.batch(number)]

    def decode(path: tf.Tensor) -> tf.Tensor:
        return tf.size(tf.io.decode_jpeg(tf.io.read_file(path), channels=3))

    batch = _CLASSES * _IMAGES
    signature = tf.TensorSpec([batch], tf.string)
    listed = tf.data.Dataset.from_generator(files, output_signature=signature)
    sizes = listed.unbatch().map(decode, num_parallel_calls=parallel)
    return iter(sizes.batch(batch).prefetch(2))


class PillowImages:
    """The same transformation with Pillow, as a map-style data set for PyTorch."""

    def __init__(self, paths: list[str]) -> None:
        self._paths = paths

    def __getitem__(self, index: int) -> np.ndarray:
        """A random crop, mirrored or not; uint8 `[224, 224, 3]`."""
        from PIL import Image

        image = Image.open(self._paths[index]).convert("RGB")
        ratio = _SCALED / max(image.size)
        if ratio != 1:
            image = image.resize([round(side * ratio) for side in image.size])
        padded = Image.new("RGB", (_SCALED, _SCALED))
        padded.paste(image, [(_SCALED - side) // 2 for side in image.size])
        left, top = np.random.randint(0, _SCALED - _SIZE + 1, 2).tolist()
        crop = padded.crop((left, top, left + _SIZE, top + _SIZE))
        if np.random.rand() < 0.5:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return np.array(crop)


def torch_batches(data_dir: str, parallel: int) -> Iterator:
    """PyTorch's DataLoader over the same batches."""
    import torch.utils.data

    paths, sampler = _paths_and_sampler(data_dir)
    loader = torch.utils.data.DataLoader(
        PillowImages(paths.tolist()),  # type: ignore[arg-type]
        batch_sampler=[sampler.batch(number).tolist() for number in range(1000)],
        num_workers=parallel,
        # TensorFlow's threads do not survive a fork.
        multiprocessing_context="spawn",
    )
    return iter(loader)


def _paths_and_sampler(data_dir: str) -> tuple[np.ndarray, object]:
    from abe_tf.data import folders
    from abe_tf.data.sampling import ClassSampler

    examples = folders.image_folder(data_dir)
    sampler = ClassSampler(examples.labels, [_IMAGES] * _CLASSES, 0)
    return np.array(examples.names), sampler


def images_a_second(batches: Iterator, steps: int) -> float:
    """Takes so many batches, after a few that are not timed."""
    for _ in range(_UNTIMED):
        next(batches)
    begin = time.perf_counter()
    for _ in range(steps):
        next(batches)
    return steps * _CLASSES * _IMAGES / (time.perf_counter() - begin)


def peak_memory(data_dir: str, parallel: int, copies: int, steps: int) -> float:
    """Megabytes of a process of its own that takes so many batches."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measure_memory, (data_dir, parallel, copies, steps))


def _measure_memory(data_dir: str, parallel: int, copies: int, steps: int) -> float:
    images_a_second(our_batches(data_dir, parallel, copies), steps)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(_: list[str]) -> None:
    """Prints medians, and the ratios turn by turn."""
    data_dir, parallel, steps = _DATA_DIR.value, _PARALLEL.value, _STEPS.value
    memory = [peak_memory(data_dir, parallel, copies, steps) for copies in (1, 10)]
    pipelines: dict[str, Callable[[str, int], Iterator]] = {
        "ours": our_batches,
        "bare decode_jpeg": bare_batches,
        "PyTorch, Pillow": torch_batches,
    }
    speeds: dict[str, list[float]] = {name: [] for name in pipelines}
    for _ in range(_ROUNDS.value):
        for name, start in pipelines.items():
            speeds[name].append(images_a_second(start(data_dir, parallel), steps))
    for name, values in speeds.items():
        ratios = [a / b for a, b in zip(speeds["ours"], values, strict=True)]
        print(
            f"{name:18}{statistics.median(values):8.0f} images/s; ours to it: "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )
    once, ten = memory
    print(f"peak memory: {once:.0f} MB, files listed ten times {ten:.0f} MB: ", end="")
    print(f"{ten / once:.2f}")


if __name__ == "__main__":
    flags.mark_flag_as_required("data_dir")
    app.run(main)
