"""How much does Apache Beam cost beside the bare loop of the same photos?

    python -m benchmarks.bulk --model_dir=models/digits_abe4 --photos=photos/digits

In turns: the bare loop, one process that loads the exported model and embeds the photos
batch by batch, and one process of Apache Beam, which reads, embeds and writes Parquet
shards. Both read and decode in the same threads. Told are photos a second once the
model is warm, and with the start of the process and the model's loading; and the bytes
of the shards. Needs the environment of requirements-bulk.txt.
"""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from absl import app, flags

_MODEL = flags.DEFINE_string("model_dir", None, "The model folder.", required=True)
_PHOTOS = flags.DEFINE_string("photos", None, "A folder of photos.", required=True)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "In turns.")
_SHARD = flags.DEFINE_integer("shard_size", 2000, "Photos of a shard.")
_WORKERS = flags.DEFINE_integer("workers", 1, "Processes of Apache Beam.")
_SERVE = flags.DEFINE_string("serve", None, "Internal: bare or beam.")
_OUTPUT = flags.DEFINE_string("output", None, "Internal: what names begin with.")


def photos() -> list[str]:
    """Paths of all photos."""
    return sorted(map(str, pathlib.Path(_PHOTOS.value).rglob("*.*")))


def bare() -> int:
    """Embeds all photos and keeps nothing; their number."""
    from abe_tf.bulk import worker

    model = worker.load(_MODEL.value, 10**9)
    paths = photos()
    # The first batch traces and compiles.
    worker.embed(model, [(path, "") for path in paths[:32]], 32)
    start = time.monotonic()
    count = 0
    for first in range(0, len(paths), _SHARD.value):
        part = [(path, "") for path in paths[first : first + _SHARD.value]]
        count += len(worker.embed(model, part, 32).rows)
    print(json.dumps({"inner": count / (time.monotonic() - start), "photos": count}))
    return count


def beam() -> int:
    """The same by Apache Beam, into shards."""
    from abe_tf.bulk import pipeline, worker
    from abe_tf.config.bulk import EmbedConfig

    starts = []
    load = worker.Learners.load_model

    def loaded(self: worker.Learners) -> object:
        model = load(self)
        worker.embed(model, [(path, "") for path in photos()[:32]], 32)
        starts.append(time.monotonic())
        return model

    more = []
    if _WORKERS.value == 1:
        worker.Learners.load_model = loaded  # type: ignore[method-assign]
    else:
        more = ["--direct_running_mode=multi_processing"]
        more += [f"--direct_num_workers={_WORKERS.value}"]
    begun = time.monotonic()
    config = EmbedConfig(
        model_dir=_MODEL.value,
        input=_PHOTOS.value,
        output=_OUTPUT.value,
        shard_size=_SHARD.value,
    )
    outcome = pipeline.run(config, more)
    count = outcome.manifest.photos - len(outcome.broken)
    seconds = time.monotonic() - (starts[0] if starts else begun)
    print(json.dumps({"inner": count / seconds, "photos": count}))
    return count


def run(kind: str, output: str) -> tuple[float, float]:
    """Photos a second: once the model is warm, and of the whole process."""
    flags_of = [f"--model_dir={_MODEL.value}", f"--photos={_PHOTOS.value}"]
    flags_of += [f"--serve={kind}", f"--output={output}"]
    flags_of += [f"--shard_size={_SHARD.value}", f"--workers={_WORKERS.value}"]
    start = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.bulk", *flags_of],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    told = json.loads(result.stdout.splitlines()[-1])
    return told["inner"], told["photos"] / (time.monotonic() - start)


def main(_: list[str]) -> None:
    """Prints the rates."""
    if _SERVE.value:
        {"bare": bare, "beam": beam}[_SERVE.value]()
        return
    rates: dict[str, list[tuple[float, float]]] = {"bare": [], "beam": []}
    with tempfile.TemporaryDirectory() as place:
        for turn in range(_ROUNDS.value):
            for kind, found in rates.items():
                prefix = os.path.join(place, f"{turn}", "photos")
                found.append(run(kind, prefix))
                warm, whole = found[-1]
                print(f"{kind}: {warm:.1f} photos/s, {whole:.1f} with the start")
        sizes = list(pathlib.Path(place, "0").glob("photos-*.parquet"))
        bytes_of = sum(map(os.path.getsize, sizes))
        print(f"{len(sizes)} shards of {bytes_of:,} bytes")
    for place_of, what in enumerate(("warm", "with the start")):
        medians = {
            kind: statistics.median(one[place_of] for one in found)
            for kind, found in rates.items()
        }
        ratio = medians["beam"] / medians["bare"]
        print(f"{what}: {ratio:.2f} of the bare loop ({medians})")


if __name__ == "__main__":
    app.run(main)
