"""How fast is a first index, beside loops that do nothing but decode and embed?

    pip install -r benchmarks/requirements.txt
    python -m benchmarks.index --data_dir=PHOTOS --encoder=mobilenet \
        --encoder_weights=imagenet --image_size=224 [--megapixels=12]

Photos a second of three ways to the same network on the same JPEG files, in turns, each
in a process of its own, its start and first batch left out: an index, with thumbnails,
hashes and database; a tf.data pipeline of `tf.io.decode_jpeg` and `tf.image.resize`,
with antialiasing, which is what the network was made for, and without; PyTorch's
DataLoader with Pillow and a worker a processor. With --megapixels the photos
are enlarged before. Then an index of --files small files is brought up to date without
a change.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np
from absl import app, flags
from PIL import Image

from abe_tf.data import photos

_PHOTOS = flags.DEFINE_string("data_dir", None, "a folder of photos", required=True)
_COUNT = flags.DEFINE_integer("photos", 400, "how many")
_ENCODER = flags.DEFINE_string("encoder", "mobilenet", "the network")
_WEIGHTS = flags.DEFINE_string("encoder_weights", "imagenet", "its weights")
_ALPHA = flags.DEFINE_float("mobilenet_alpha", 1.0, "its width")
_SIZE = flags.DEFINE_integer("image_size", 224, "what it sees")
_MEGAPIXELS = flags.DEFINE_float("megapixels", 0, "enlarges the photos; 0 does not")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "turns")
_FILES = flags.DEFINE_integer("files", 50_000, "of the index without a change")
_WAY = flags.DEFINE_string("way", None, "internal: which way this process goes")
BATCH = 32
WAYS = ("index", "bare", "aliased", "torch")


def network():  # type: ignore[no-untyped-def]
    """The model of the index."""
    from abe_tf.config.data import MAX_PIXELS
    from abe_tf.config.index import SourceConfig
    from abe_tf.photo_index import model

    source = SourceConfig(
        encoder=_ENCODER.value,
        encoder_weights=_WEIGHTS.value,
        mobilenet_alpha=_ALPHA.value,
        image_size=_SIZE.value,
    )
    return model.load(source, MAX_PIXELS)


def index(paths: list[str], embed) -> None:  # type: ignore[no-untyped-def]
    """A first index of the files."""
    from abe_tf.photo_index import database, thumbnails, updating, walking

    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "vectors"))
        about = {"generation": 1, "rows": 0}
        database.create(folder, about)
        with database.opened(folder, write=True) as connection:
            thumbnails.prepare(connection)
            found = [
                walking.Found(os.fsencode(path), *facts(path), None) for path in paths
            ]
            updater = updating.Updater(
                folder, connection, lambda: embed, BATCH, 320, quiet=True
            )
            tally = updater.update({}, found, prune=False)
        assert tally.added == len(paths), tally


def facts(path: str) -> tuple[int, int]:
    """Size and time of a file."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def aliased(paths: list[str], embed) -> None:  # type: ignore[no-untyped-def]
    """As `bare`, without antialiasing."""
    bare(paths, embed, antialias=False)


def bare(  # type: ignore[no-untyped-def]
    paths: list[str], embed, antialias: bool = True
) -> None:
    """Decoding, resizing and the network."""
    import tensorflow as tf

    size = _SIZE.value

    def load(path: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        small = tf.image.resize(image, [size, size], antialias=antialias)
        return tf.cast(small, tf.uint8)

    batches = tf.data.Dataset.from_tensor_slices(paths)
    batches = batches.map(load, tf.data.AUTOTUNE).batch(BATCH).prefetch(2)
    total = sum(len(embed.embed(batch)) for batch in batches)
    assert total == len(paths)


class _Pictures:
    """A data set as PyTorch has them."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> np.ndarray:
        with Image.open(self.paths[number]) as image:
            small = image.convert("RGB").resize((_SIZE.value,) * 2)
            return np.asarray(small)


def torch(paths: list[str], embed) -> None:  # type: ignore[no-untyped-def]
    """The same by a DataLoader."""
    from torch.utils.data import DataLoader

    workers = len(os.sched_getaffinity(0))
    loader = DataLoader(
        _Pictures(paths), BATCH, num_workers=workers, collate_fn=np.stack
    )
    import tensorflow as tf

    total = sum(len(embed.embed(tf.constant(batch))) for batch in loader)
    assert total == len(paths)


def run(way: str, paths: list[str]) -> None:
    """Prints photos a second."""
    embed = network()
    works = {"index": index, "bare": bare, "aliased": aliased, "torch": torch}
    work = works[way]
    work(paths[:BATCH], embed)
    begin = time.perf_counter()
    work(paths, embed)
    print(len(paths) / (time.perf_counter() - begin))


def prepared(folder: str) -> Iterator[str]:
    """JPEG files in a folder of their own, enlarged where that is asked for."""
    for number, path in enumerate(photos.find(_PHOTOS.value).paths[: _COUNT.value]):
        target = os.path.join(folder, f"{number}.jpg")
        if not _MEGAPIXELS.value:
            shutil.copy(path, target)
        else:
            with Image.open(path) as image:
                scale = (1e6 * _MEGAPIXELS.value / (image.width * image.height)) ** 0.5
                size = round(image.width * scale), round(image.height * scale)
                image.convert("RGB").resize(size).save(target, quality=90)
        yield target


def unchanged() -> float:
    """Seconds of the whole command for an index without a change."""
    with tempfile.TemporaryDirectory() as folder:
        pile = os.path.join(folder, "pile")
        rng = np.random.default_rng(0)
        for number in range(_FILES.value):
            inside = os.path.join(pile, f"{number // 500:04d}")
            os.makedirs(inside, exist_ok=True)
            pixels = rng.integers(0, 256, [8, 8, 3], np.uint8)
            Image.fromarray(pixels).save(os.path.join(inside, f"{number}.png"))
        command = [
            *(sys.executable, "-m", "abe_tf.index", f"--index={folder}/index"),
            *(f"--encoder={_ENCODER.value}", f"--encoder_weights={_WEIGHTS.value}"),
            *(f"--mobilenet_alpha={_ALPHA.value}", "--image_size=32", pile),
        ]
        subprocess.run([*command, "--batch_size=256", "--quiet"], check=True)
        begin = time.perf_counter()
        subprocess.run(command, check=True)
        return time.perf_counter() - begin


def main(_: list[str]) -> None:
    """Prints rates and ratios."""
    if _WAY.value:
        run(_WAY.value, [path.rstrip("\n") for path in sys.stdin])
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = list(prepared(folder))
        rates: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(_ROUNDS.value):
            for way in WAYS:
                said = subprocess.run(
                    [sys.executable, "-m", "benchmarks.index", *sys.argv[1:]]
                    + [f"--way={way}"],
                    input="\n".join(paths),
                    stdout=subprocess.PIPE,
                    check=True,
                    text=True,
                ).stdout
                rates[way].append(float(said.split()[-1]))
                print(f"{way}: {rates[way][-1]:.1f} photos/s", flush=True)
    for way in WAYS[1:]:
        pairs = zip(rates["index"], rates[way], strict=True)
        ratios = sorted(ours / theirs for ours, theirs in pairs)
        print(
            f"index to {way}: {statistics.median(ratios):.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
    if _FILES.value:
        print(f"{_FILES.value:,} files without a change: {unchanged():.1f} s")


if __name__ == "__main__":
    app.run(main)
