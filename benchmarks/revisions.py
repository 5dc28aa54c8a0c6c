"""Is this checkout as fast as an older one?

    git worktree add /tmp/before REVISION
    python -m benchmarks.revisions --before=/tmp/before --data_dir=GROCERY

Commands of both checkouts take turns, in processes of their own: training steps on the
digits (images a second, from metrics.jsonl), the input pipeline over JPEG files, the
recall of random embeddings (seconds of the whole command), the local server under 16
connections (needs wrk), evaluation and report of a run, and a training of one step,
which is how long a command takes to start. Each ratio is of two neighbouring turns;
above 1 this checkout is faster. Both run in the environment of this one. CPU seconds
are of all processes of a turn.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import requests
from absl import app, flags

_BEFORE = flags.DEFINE_string("before", None, "the older checkout")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "class folders of JPEGs")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "turns of each checkout", lower_bound=1)
_SECONDS = flags.DEFINE_integer("seconds", 20, "of a load of the server")
_PARTS = flags.DEFINE_list(
    "parts",
    ["training", "input", "recall", "serving", "measuring", "start"],
    "which",
)
_NOW = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_TRAINING = (
    *("--dataset=digits", "--image_size=48", "--resize_size=54", "--steps=40"),
    *("--num_learners=4", "--embedding_dim=128", "--log_every=5"),
    "--checkpoint_every=1000",
)
# Understood by every revision that has the input pipeline's benchmark.
_INPUT = """
import os, sys, time
from benchmarks.input_pipeline import our_batches
batches = our_batches(sys.argv[1], 2)
for _ in range(10):
    next(batches)
start = time.perf_counter()
for _ in range(60):
    next(batches)
print(60 * 64 / (time.perf_counter() - start), flush=True)
# Not through Python's end, where threads of the pipeline may wait for it for ever.
os._exit(0)
"""


@dataclasses.dataclass(frozen=True)
class Side:
    """What is compared: a checkout, and the interpreter that runs it."""

    name: str
    checkout: str = _NOW
    python: str = sys.executable


def _run(side: Side, *command: str) -> str:
    """What a Python command of a checkout prints."""
    return subprocess.run(
        [side.python, *command],
        cwd=side.checkout,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def training(side: Side) -> float:
    """Images a second, the median over the reports of a run."""
    with tempfile.TemporaryDirectory() as folder:
        _run(side, "-m", "abe_tf.train", *_TRAINING, f"--workdir={folder}/run")
        with open(f"{folder}/run/metrics.jsonl", encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
    rates = [x["images_per_second"] for x in lines if "images_per_second" in x]
    return statistics.median(rates)


def input_pipeline(side: Side) -> float:
    """Images a second."""
    return float(_run(side, "-c", _INPUT, _DATA_DIR.value).split()[-1])


def recall(side: Side) -> float:
    """Evaluations a second of 20,000 images of 4 x 64 dimensions."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=[20_000, 4, 64]).astype(np.float32)
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "random.npz")
        np.savez(path, learner_embeddings=x, labels=np.arange(len(x)) // 5)
        start = time.perf_counter()
        _run(
            *(side, "-m", "abe_tf.evaluate", f"--embeddings={path}"),
            "--noclustering",
        )
        return 1 / (time.perf_counter() - start)


def measuring(side: Side) -> float:
    """Evaluations of a run with the report behind, an hour."""
    with tempfile.TemporaryDirectory() as folder:
        run = f"--workdir={folder}/run"
        _run(side, "-m", "abe_tf.train", *_TRAINING, "--steps=0", run)
        start = time.perf_counter()
        _run(side, "-m", "abe_tf.evaluate", run)
        _run(side, "-m", "abe_tf.report", run)
        return 3600 / (time.perf_counter() - start)


def starting(side: Side) -> float:
    """Trainings of one step an hour: nearly all of it is the command's start."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        run = f"--workdir={folder}/run"
        _run(side, "-m", "abe_tf.train", *_TRAINING, "--steps=1", run)
        return 3600 / (time.perf_counter() - start)


def exporting(side: Side) -> float:
    """Exports of a run an hour."""
    with tempfile.TemporaryDirectory() as folder:
        run, models = os.path.join(folder, "run"), os.path.join(folder, "models")
        _run(side, "-m", "abe_tf.train", *_TRAINING, "--steps=0", f"--workdir={run}")
        start = time.perf_counter()
        _export(side, run, models)
        return 3600 / (time.perf_counter() - start)


def _export(side: Side, run: str, models: str) -> None:
    flags = (f"--workdir={run}", f"--export_dir={models}")
    _run(side, "-m", "export.saved_model", *flags)


def serving(side: Side) -> float:
    """Requests a second under 16 connections, each with a photo of 100 pixels."""
    with tempfile.TemporaryDirectory() as folder:
        run, models = os.path.join(folder, "run"), os.path.join(folder, "models")
        _run(side, "-m", "abe_tf.train", *_TRAINING, "--steps=0", f"--workdir={run}")
        _export(side, run, models)
        script = os.path.join(folder, "post.lua")
        with open(script, "w", encoding="ascii") as file:
            body = json.dumps({"instances": [{"b64": _photo()}]})
            file.write(f"wrk.method = 'POST'\nwrk.body = '{body}'\n")
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        command = ["-m", "export.local_server", f"--model_dir={models}"]
        server = subprocess.Popen(
            [side.python, *command, f"--port={port}"],
            cwd=side.checkout,
            stdout=subprocess.DEVNULL,
        )
        try:
            url = f"http://127.0.0.1:{port}/v1/models/abe"
            _wait_for(url)
            _wrk(script, url, 3)
            return _wrk(script, url, _SECONDS.value)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()


def _photo() -> str:
    import tensorflow as tf

    pixels = np.random.default_rng(0).integers(0, 256, [100, 100, 3], np.uint8)
    return base64.b64encode(tf.io.encode_jpeg(pixels).numpy()).decode()


def _wait_for(url: str) -> None:
    for _ in range(300):
        try:
            # A version that is loaded, and has answered its warmup records.
            if "AVAILABLE" in requests.get(url, timeout=5).text:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.2)
    raise RuntimeError("The server did not start.")


def _wrk(script: str, url: str, seconds: int) -> float:
    said = subprocess.run(
        ["wrk", "-t1", "-c16", f"-d{seconds}s", "-s", script, f"{url}:predict"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "Non-2xx" not in said, said
    return float(re.search(r"Requests/sec:\s+(\S+)", said)[1])  # type: ignore[index]


MEASURES: dict[str, tuple[Callable[[Side], float], str]] = {
    "training": (training, "images/s"),
    "input": (input_pipeline, "images/s"),
    "recall": (recall, "evaluations/s"),
    "serving": (serving, "requests/s"),
    "measuring": (measuring, "an hour"),
    "start": (starting, "an hour"),
    "export": (exporting, "an hour"),
}


def compare(part: str, one: Side, other: Side, rounds: int) -> None:
    """Measures both in turns, and prints medians, and the ratio of the second's."""
    measure, unit = MEASURES[part]
    rates: dict[Side, list[float]] = {one: [], other: []}
    spent: dict[Side, list[float]] = {one: [], other: []}
    for number in range(rounds):
        # Neither is always the first.
        for side in [one, other][:: 1 if number % 2 else -1]:
            before = _children_seconds()
            rates[side].append(measure(side))
            spent[side].append(_children_seconds() - before)
    ratios = [b / a for a, b in zip(rates[one], rates[other], strict=True)]
    first, second = (statistics.median(rates[side]) for side in (one, other))
    cpu = [statistics.median(spent[side]) for side in (one, other)]
    print(
        f"{part}: {one.name} {first:.4g}, {other.name} {second:.4g} {unit}; "
        f"{other.name} / {one.name} {statistics.median(ratios):.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f}); "
        f"CPU {cpu[0]:.1f} and {cpu[1]:.1f} s",
        flush=True,
    )


def _children_seconds() -> float:
    """CPU seconds of the processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main(_: list[str]) -> None:
    """Measures, in turns."""
    for part in _PARTS.value:
        before, now = Side("before", _BEFORE.value), Side("now")
        compare(part, before, now, _ROUNDS.value)


if __name__ == "__main__":
    flags.mark_flag_as_required("before")
    app.run(main)
