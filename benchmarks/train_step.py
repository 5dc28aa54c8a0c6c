"""How fast are a training step and inference, beside the same network in PyTorch?

pip install -r benchmarks/requirements.txt
python -m benchmarks.train_step
python -m benchmarks.train_step --growth
python -m benchmarks.train_step --profile

ABE-8^512 on GoogLeNet, 224 x 224, batch 16, Adam, in float32 and bfloat16. Each variant
lives in a process of its own, where it is built, compiled and warmed up; then all take
turns, one at a time, on all cores. PyTorch runs channels_last: eager with the learners
one after the other, eager and compiled with them folded into the batch as ours; its
best counts.
The share is of the rate of a large matrix multiplication measured in the same turns.
`--growth` measures ours alone over learners and batches, each in a fresh process;
`--profile` tells which operations our inference spends its time in.
"""

from __future__ import annotations

import multiprocessing
import pathlib
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import app, flags

_TURNS = flags.DEFINE_integer("turns", 5, "of each variant")
_STEPS = flags.DEFINE_integer("steps", 2, "steps a turn")
_BATCH = flags.DEFINE_integer("batch", 16, "images a step")
_GROWTH = flags.DEFINE_bool("growth", False, "measure time and memory over M and batch")
_PROFILE = flags.DEFINE_bool("profile", False, "tell where inference's time goes")
_SIZE, _DIM = 224, 512
# Multiply-adds of an image through ABE-8 (the paper's table and ours); a training step
# takes three times the forward pass.
_FLOPS = 2 * 7.46e9
_MATRIX = 3072


def _batch(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, [count, _SIZE, _SIZE, 3], np.uint8)
    return pixels, np.arange(count) // 4


def ours(precision: str, learners: int, count: int) -> dict[str, Callable[[], Any]]:
    """Our step and inference."""
    import tensorflow as tf

    from abe_tf.config.loss import LossConfig
    from abe_tf.config.model import ModelConfig
    from abe_tf.config.training import TrainingConfig
    from abe_tf.models.build import build
    from abe_tf.models.ensemble import PARTS, new_layer_variables
    from abe_tf.training import optimizers
    from abe_tf.training.trainer import EnsembleTrainer

    pixels, labels = map(tf.constant, _batch(count))
    model = ModelConfig(
        encoder="googlenet",
        num_learners=learners,
        embedding_dim=_DIM,
        precision=precision,
    )
    network = build(model, _SIZE)
    new = new_layer_variables(network)
    trainer = EnsembleTrainer(network, new, LossConfig(), PARTS)
    training = TrainingConfig(learning_rate=1e-5)
    trainer.compile(optimizers.create(training, precision))
    infer = tf.function(lambda: network(pixels, training=False))
    step = tf.function(lambda: trainer.train_step((pixels, labels)))
    return {
        "train": lambda: float(step()["loss/total"]),
        "infer": lambda: infer().numpy(),
        "multiply": _multiplication(precision),
    }


def _multiplication(precision: str) -> Callable[[], Any]:
    import tensorflow as tf

    matrix = tf.cast(tf.random.normal([_MATRIX, _MATRIX]), precision)
    multiply = tf.function(lambda: tf.matmul(matrix, matrix)[0, 0])
    return lambda: multiply().numpy()


def peer(
    precision: str, count: int, folded: bool, compiled: bool
) -> dict[str, Callable[[], Any]]:
    """PyTorch's step and inference."""
    import torch

    from benchmarks import torch_abe

    pixels, labels = map(torch.from_numpy, _batch(count))
    pixels = pixels.permute(0, 3, 1, 2)  # channels_last in memory
    network = torch_abe.Abe(8, _DIM, folded).to(memory_format=torch.channels_last)
    forward = torch.compile(network) if compiled else network
    optimizer = torch.optim.Adam(network.parameters(), 1e-5)
    lower = precision == "bfloat16"

    def embed() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=lower):
            return forward(pixels)

    def train() -> float:
        network.train()
        optimizer.zero_grad()
        loss = torch_abe.loss(embed(), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    def infer() -> np.ndarray:
        network.eval()
        with torch.no_grad():
            return embed().numpy()

    return {"train": train, "infer": infer}


def _serve(connection: Any, make: Callable, arguments: tuple) -> None:
    """In a process of its own: builds a variant, then times what it is asked to."""
    tasks = make(*arguments)
    for task in tasks.values():
        for _ in range(2):
            task()
    connection.send("ready")
    while True:
        name, steps = connection.recv()
        if name == "memory":
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            connection.send(peak)
            continue
        begin = time.perf_counter(), time.process_time()
        for _ in range(steps):
            tasks[name]()
        ended = time.perf_counter(), time.process_time()
        connection.send([(b - a) / steps for a, b in zip(begin, ended, strict=True)])


class Variant:
    """A variant in its process."""

    def __init__(self, make: Callable, *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(other, make, arguments), daemon=True
        )
        self._process.start()
        other.close()
        self._connection.recv()

    def ask(self, name: str, steps: int = 1) -> float:
        """Seconds a step."""
        return self.measure(name, steps)[0]

    def measure(self, name: str, steps: int = 1) -> tuple[float, float]:
        """Seconds a step, of the clock and of the processors."""
        self._connection.send((name, steps))
        return self._connection.recv()

    def memory(self) -> float:
        """Megabytes at the most."""
        self._connection.send(("memory", 0))
        return self._connection.recv()

    def end(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.join()


def compare(precision: str) -> None:
    """Ours beside every variant of PyTorch's, in turns."""
    count, steps = _BATCH.value, _STEPS.value
    variants = {"ours": Variant(ours, precision, 8, count)}
    for folded, compiled in ((False, False), (True, False), (True, True)):
        name = f"PyTorch, {'folded' if folded else 'loop'}, "
        name += "compiled" if compiled else "eager"
        variants[name] = Variant(peer, precision, count, folded, compiled)
    seconds: dict[tuple[str, str], list[float]] = {}
    multiply = []
    for _ in range(_TURNS.value):
        multiply.append(variants["ours"].ask("multiply", 5))
        for task in ("train", "infer"):
            for name, variant in variants.items():
                seconds.setdefault((name, task), []).append(variant.ask(task, steps))
    for task in ("train", "infer"):
        best = min(
            (name for name in variants if name != "ours"),
            key=lambda name: statistics.median(seconds[name, task]),
        )
        for name in variants:
            speed = count / statistics.median(seconds[name, task])
            print(f"{precision:9} {task:6} {name:24}{speed:7.1f} images/s", flush=True)
        pairs = zip(seconds[best, task], seconds["ours", task], strict=True)
        ratios = [theirs / our for theirs, our in pairs]
        print(
            f"{precision:9} {task:6} ours to the best of PyTorch: "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )
        work = _FLOPS * count * (3 if task == "train" else 1)
        rate = work / statistics.median(seconds["ours", task])
        peak = 2 * _MATRIX**3 / statistics.median(multiply)
        print(
            f"{precision:9} {task:6} {rate / 1e9:.0f} GFLOP/s, "
            f"{100 * rate / peak:.0f} % of the matrix multiplication's "
            f"{peak / 1e9:.0f}"
        )
    for name, variant in variants.items():
        print(f"{precision:9} memory {name:24}{variant.memory():7.0f} MB")
        variant.end()


def growth() -> None:
    """Ours over learners and batches."""
    for learners, count in [(m, 16) for m in (1, 2, 4, 8)] + [
        (8, b) for b in (8, 32, 64)
    ]:
        variant = Variant(ours, "float32", learners, count)
        train, infer = (variant.ask(task, 2) for task in ("train", "infer"))
        print(
            f"M = {learners}, batch {count:2}: step {train:6.2f} s, inference "
            f"{infer:6.2f} s, peak memory {variant.memory():6.0f} MB",
            flush=True,
        )
        variant.end()


def profile() -> None:
    """Where the time of our inference goes, by kind of operation."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    infer = ours("float32", 8, _BATCH.value)["infer"]
    infer()
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            infer()
        (path,) = pathlib.Path(folder).glob("**/*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    (host,) = (plane for plane in space.planes if plane.name == "/host:CPU")
    totals: dict[str, int] = {}
    for event in (event for line in host.lines for event in line.events):
        # "name of the node:kind of the operation"
        node, colon, kind = host.event_metadata[event.metadata_id].name.rpartition(":")
        if colon and kind.isidentifier() and not node.endswith(":"):
            totals[kind] = totals.get(kind, 0) + event.duration_ps
    whole = sum(totals.values())
    for kind, spent in sorted(totals.items(), key=lambda item: -item[1])[:8]:
        print(f"{kind[:40]:40} {100 * spent / whole:5.1f} %")


def main(_: list[str]) -> None:
    """Prints medians, ratios turn by turn, and memory."""
    if _PROFILE.value:
        profile()
        return
    if _GROWTH.value:
        growth()
        return
    for precision in ("float32", "bfloat16"):
        compare(precision)


if __name__ == "__main__":
    app.run(main)
