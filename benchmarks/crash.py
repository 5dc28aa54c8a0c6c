"""Does a run that is killed again and again end with the weights of one that is not?

python -m benchmarks.crash --kills=20

A small training on the digits runs through once. A second one of the same flags is
killed with SIGKILL at random moments, every other time while a checkpoint is being
written, and started again, until it has been killed so often; then it runs to its end.
All tensors of both last checkpoints (weights, optimizer slots, step, best recall) must
be equal, bit for bit.
"""

from __future__ import annotations

import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app, flags

_KILLS = flags.DEFINE_integer("kills", 20, "how often the run is killed", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "of the moments")

TRAINING = (
    *("--dataset=digits", "--image_size=32", "--resize_size=32"),
    *("--num_learners=2", "--embedding_dim=16", "--ema_momentum=0.9"),
    *("--classes_per_batch=4", "--images_per_class=2", "--validation_classes=0.1"),
    *("--log_every=1", "--eval_every=20", "--checkpoint_every=5", "--deterministic"),
)
_FIRST_STEP, _POLL, _GRACE = 600.0, 0.0005, 3.0


def start(workdir: str, training: list[str]) -> subprocess.Popen:
    """Starts a training whose output goes to WORKDIR.log."""
    command = [sys.executable, "-u", "-m", "abe_tf.train", *training]
    with open(f"{workdir}.log", "w", encoding="utf-8") as log:
        return subprocess.Popen(
            [*command, f"--workdir={workdir}"], stdout=log, stderr=subprocess.STDOUT
        )


def finish(workdir: str, training: list[str]) -> None:
    """Trains to the end.

    Raises:
      RuntimeError: The training failed.
    """
    status = start(workdir, training).wait()
    if status:
        log = pathlib.Path(f"{workdir}.log").read_text("utf-8")
        raise RuntimeError(f"training ended with {status}: {log}")


def kill_once(workdir: str, training: list[str], moment: random.Random) -> str:
    """Starts the training and kills it; tells when."""
    while_writing = moment.random() < 0.5
    process = start(workdir, training)
    log = pathlib.Path(f"{workdir}.log")
    try:
        deadline = time.monotonic() + _FIRST_STEP
        while "images/s" not in log.read_text("utf-8") and process.poll() is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no step in {_FIRST_STEP} s: {log.read_text()}")
            time.sleep(0.05)
        end = time.monotonic() + _GRACE
        pause = moment.uniform(0, 1.5)
        if while_writing:
            while not _being_written(workdir) and time.monotonic() < end:
                time.sleep(_POLL)
            pause = moment.uniform(0, 0.02)
        time.sleep(pause)
        kind = "while it wrote a checkpoint" if _being_written(workdir) else "between"
        if process.poll() is not None:
            raise RuntimeError(f"training ended before the kill: {log.read_text()}")
    finally:
        process.kill()
        process.wait()
    return kind


def _being_written(workdir: str) -> bool:
    return any(
        name.startswith("incomplete-")
        for folder in ("checkpoints", "best")
        if os.path.isdir(os.path.join(workdir, folder))
        for name in os.listdir(os.path.join(workdir, folder))
    )


def tensors(workdir: str) -> dict[str, np.ndarray]:
    """All that the last checkpoint holds."""
    import tensorflow as tf

    from abe_tf.storage import checkpoints

    folder = os.path.join(workdir, "checkpoints")
    last = checkpoints.path(folder, checkpoints.steps(folder)[-1])
    reader = tf.train.load_checkpoint(checkpoints.prefix(last))
    names = reader.get_variable_to_shape_map()
    return {name: reader.get_tensor(name) for name in names}


def differing(one: str, other: str) -> list[str]:
    """Names of the tensors that two runs do not share to the bit."""
    ours, theirs = tensors(one), tensors(other)
    return [
        name
        for name in sorted(ours.keys() | theirs.keys())
        # The graph of objects as TensorFlow writes it is no state.
        if name != "_CHECKPOINTABLE_OBJECT_GRAPH"
        and not np.array_equal(ours.get(name), theirs.get(name))
    ]


def metrics(workdir: str) -> list[tuple[int, float]]:
    """Step and loss of every line of metrics.jsonl that has one."""
    text = pathlib.Path(workdir, "metrics.jsonl").read_text("utf-8")
    lines = map(json.loads, text.splitlines())
    return [(x["step"], x["loss/total"]) for x in lines if "loss/total" in x]


def main(_: list[str]) -> None:
    """Kills, compares, prints; exits with 1 where something differs."""
    moment = random.Random(_SEED.value)
    # Enough that no kill comes after the end.
    training = [*TRAINING, f"--steps={25 * (1 + _KILLS.value)}"]
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = (os.path.join(folder, name) for name in ("whole", "killed"))
        finish(whole, training)
        for number in range(1, _KILLS.value + 1):
            print(f"kill {number}: {kill_once(killed, training, moment)}", flush=True)
        finish(killed, training)
        names, count = differing(whole, killed), len(tensors(whole))
        same = metrics(whole) == metrics(killed)
    print(f"{len(names)} of {count} tensors differ; metrics.jsonl equal: {same}")
    sys.exit(1 if names or not same else 0)


if __name__ == "__main__":
    app.run(main)
