"""What does embedding photos one by one cost above what it must?

    python -m benchmarks.embed_single --workdir=RUN --data_dir=PHOTOS

Times `model.embed([photo])` in a loop beside decoding and the network of the same
photos, each alone, in turns. Prints the ratio of the first to the sum of the others.
"""

from __future__ import annotations

import statistics
import time

import tensorflow as tf
from absl import app, flags

import abe_tf
from abe_tf.data import photos

_WORKDIR = flags.DEFINE_string("workdir", None, "a run folder", required=True)
_PHOTOS = flags.DEFINE_string("data_dir", None, "a folder of photos", required=True)
_COUNT = flags.DEFINE_integer("photos", 200, "how many", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "turns", lower_bound=1)


def main(_: list[str]) -> None:
    """Prints milliseconds a photo."""
    model = abe_tf.load(_WORKDIR.value)
    paths = photos.find(_PHOTOS.value).paths[: _COUNT.value]
    decode = tf.function(
        lambda path: model.preprocessing.for_evaluation(tf.io.read_file(path)),
        input_signature=[tf.TensorSpec([], tf.string)],
    )
    network = tf.function(lambda batch: model.network(batch, training=False))
    pixels = [decode(path)[tf.newaxis] for path in paths]

    def milliseconds(work: object, things: list) -> float:
        start = time.perf_counter()
        for thing in things:
            work(thing)  # type: ignore[operator]
        return 1e3 * (time.perf_counter() - start) / len(things)

    network(pixels[0])
    model.embed(paths[:1])
    rounds = [
        (
            milliseconds(lambda path: model.embed([path]), paths),
            milliseconds(decode, paths),
            milliseconds(network, pixels),
        )
        for _ in range(_ROUNDS.value)
    ]
    embed, decoding, computing = map(statistics.median, zip(*rounds, strict=True))
    ratios = sorted(one / (two + three) for one, two, three in rounds)
    print(
        f"embed {embed:.2f} ms, decoding {decoding:.2f} ms, network {computing:.2f} ms "
        f"a photo; embed / (decoding + network) {statistics.median(ratios):.3f} "
        f"({ratios[0]:.3f} to {ratios[-1]:.3f})"
    )


if __name__ == "__main__":
    app.run(main)
