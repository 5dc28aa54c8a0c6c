"""Recall@1, 10, 100 and 1000 against faiss' exact flat index.

    pip install -r benchmarks/requirements.txt
    python -m benchmarks.recall
    python -m benchmarks.recall --growth

Random unit vectors of 8 learners of 64 dimensions, as many as Stanford Online Products
has test images, in classes of its sizes (2 to 12 images, 5.3 in the mean). faiss
searches for 1,001 neighbours, the query among them, which is what Recall@1000 takes
from it. Each measurement is a process of its own, and they take turns. Prints, for each
of our distances, the time as a share of faiss', the share of the machine's rate of
multiplying matrices of this depth that it would need for the whole distance matrix
(100 % would be no work but the multiplication; above, because a symmetric matrix is
computed by half), and the peak memory above the embeddings, TensorFlow's own included.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app, flags

IMAGES, LEARNERS, DIM = 60_502, 8, 64
KS = (1, 10, 100, 1000)
GROWTH = (15_000, 30_000, 60_000, 120_000)

_ROUNDS = flags.DEFINE_integer("rounds", 3, "Times that each is measured.")
_IMAGES = flags.DEFINE_integer("images", IMAGES, "How many.")
_GROWTH = flags.DEFINE_bool("growth", False, "Only ours, at several sizes.")
_PART = flags.DEFINE_string("part", None, "Internal: what this process measures.")
_FILE = flags.DEFINE_string("file", None, "Internal: the embeddings.")


def make(images: int, path: str) -> None:
    """Writes embeddings with some structure, and labels."""
    rng = np.random.default_rng(0)
    sizes: list[int] = []
    while sum(sizes) < images:
        sizes.append(min(int(rng.integers(2, 13) * rng.random() + 2), 12))
    labels = np.repeat(np.arange(len(sizes)), sizes)[:images]
    centres = rng.normal(size=[len(sizes), LEARNERS, DIM]).astype("f")
    x = centres[labels] + 1.6 * rng.normal(size=[images, LEARNERS, DIM]).astype("f")
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    np.savez(path, learner_embeddings=x, labels=rng.permutation(len(sizes))[labels])


def ours(kind: str, x: np.ndarray, labels: np.ndarray) -> dict:
    """Ranks by one kind of distance, or by all."""
    import tensorflow as tf

    from abe_tf.retrieval import distances
    from abe_tf.retrieval.embedded import Embedded
    from abe_tf.retrieval.matrix import DistanceMatrix
    from abe_tf.retrieval.ranks import nearest_positive_ranks

    kinds = distances.KINDS if kind == "all" else (kind,)
    if kind == "concatenated":
        # As one long learner: one multiplication for each tile.
        x = x.reshape(len(x), 1, -1)
    # So that tracing is no part of it, as loading the library is none of faiss'.
    some = Embedded(x[:4000], labels[:4000])
    nearest_positive_ranks(DistanceMatrix.of(some), kinds=kinds)
    start = time.perf_counter()
    matrix = DistanceMatrix.of(Embedded(x, labels))
    ranks = nearest_positive_ranks(matrix, kinds=kinds)[-1]
    seconds = time.perf_counter() - start
    recall = [100 * float(np.mean(ranks < k)) for k in KS]
    flops = 2 * len(x) ** 2 * LEARNERS * DIM
    return {
        "seconds": seconds,
        "recall": recall,
        "flops": flops / seconds,
        "version": tf.__version__,
    }


def faiss(x: np.ndarray, labels: np.ndarray) -> dict:
    """The exact flat index."""
    import faiss as library

    flat = x.reshape(len(x), -1)
    index = library.IndexFlatIP(flat.shape[1])
    start = time.perf_counter()
    index.add(flat)
    _, found = index.search(flat, max(KS) + 1)
    seconds = time.perf_counter() - start
    right = labels[found] == labels[:, np.newaxis]
    right &= found != np.arange(len(x))[:, np.newaxis]
    recall = [100 * float(right[:, : k + 1].any(1).mean()) for k in KS]
    return {"seconds": seconds, "recall": recall, "version": library.__version__}


def multiplication() -> dict:
    """The machine's rate, at this depth and large enough to hide all else."""
    import tensorflow as tf

    x = tf.random.normal([6000, LEARNERS * DIM])
    rates = []
    for _ in range(5):
        start = time.perf_counter()
        tf.matmul(x, x, transpose_b=True)[0, 0].numpy()
        rates.append(2 * 6000**2 * LEARNERS * DIM / (time.perf_counter() - start))
    return {"flops": max(rates), "seconds": 0.0, "recall": []}


def measure(part: str, path: str) -> dict:
    """What a part says, from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.recall", f"--part={part}"]
    result = subprocess.run(
        [*command, f"--file={path}"], check=True, capture_output=True, text=True
    )
    return json.loads(result.stdout.splitlines()[-1])


def _run_part(part: str) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with np.load(_FILE.value) as archive:
        x, labels = archive["learner_embeddings"], archive["labels"]
    if part == "multiplication":
        found = multiplication()
    elif part == "faiss":
        found = faiss(x, labels)
    else:
        found = ours(part, x, labels)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({**found, "above": (peak - x.nbytes) / 2**20}))


def _compare(folder: str) -> None:
    path = os.path.join(folder, "embeddings.npz")
    make(_IMAGES.value, path)
    parts = ("faiss", "concatenated", "ensemble", "all", "multiplication")
    rounds = []
    for number in range(_ROUNDS.value):
        rounds.append({part: measure(part, path) for part in parts})
        print(f"round {number + 1}", {p: r["seconds"] for p, r in rounds[-1].items()})
    for part in parts[:-1]:
        ratios = [r[part]["seconds"] / r["faiss"]["seconds"] for r in rounds]
        above = max(r[part]["above"] for r in rounds)
        shares = [
            r[part].get("flops", np.nan) / r["multiplication"]["flops"] for r in rounds
        ]
        recall = " / ".join(f"{value:.2f}" for value in rounds[0][part]["recall"])
        print(
            f"{part:14} {statistics.median(ratios):.2f} of faiss' time "
            f"({min(ratios):.2f} to {max(ratios):.2f}), "
            f"{100 * statistics.median(shares):.0f} % of the multiplication's rate, "
            f"{above:,.0f} MB above the embeddings; Recall@{KS}: {recall}"
        )


def _grow(folder: str) -> None:
    for images in GROWTH:
        path = os.path.join(folder, f"{images}.npz")
        make(images, path)
        for part in ("concatenated", "ensemble"):
            found = measure(part, path)
            print(
                f"{images:7,} {part:14} {found['seconds']:6.1f} s, "
                f"{1e9 * found['seconds'] / images**2:.2f} ns a pair, "
                f"{found['above']:,.0f} MB above the embeddings",
                flush=True,
            )


def main(_: list[str]) -> None:
    """Measures, or is one of the measured."""
    if _PART.value:
        _run_part(_PART.value)
        return
    with tempfile.TemporaryDirectory() as folder:
        (_grow if _GROWTH.value else _compare)(folder)


if __name__ == "__main__":
    app.run(main)
