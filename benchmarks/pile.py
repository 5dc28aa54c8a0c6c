"""How long do copies and groups of many photos take, and in how much memory?

    python -m benchmarks.pile --photos=500000

An index of synthetic ABE-8 embeddings, those of `benchmarks.search`, of which one in a
hundred is a near copy of another; no photos, so that what is timed is comparing them.
Each command is killed with SIGKILL once, after its first state, and started again; told
are the seconds of both together, the peak of resident memory, which counts the mapped
embeddings, and how many of the copies were found.
"""

from __future__ import annotations

import csv
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app, flags

from abe_tf.photo_index.pile.components import FOLDER
from benchmarks.search import DIM, LEARNERS, embeddings, write_index

_ROWS = flags.DEFINE_integer("photos", 500_000, "how many")
_NEAR = flags.DEFINE_float("near", 0.1, "distance of near copies")
_GROUP = flags.DEFINE_float("group", 0.9, "distance within a group")
_COMMANDS = flags.DEFINE_list("commands", ["duplicates", "groups"], "which are run")


def make(folder: str) -> np.ndarray:
    """Writes the index; gives the rows that are near copies of the row before."""
    given = embeddings(_ROWS.value)
    rng = np.random.default_rng(1)
    copied = np.sort(rng.choice(_ROWS.value // 2, _ROWS.value // 100, False)) * 2 + 1
    noise = rng.normal(0, 0.003, [len(copied), LEARNERS, DIM])
    near = given[copied - 1] + noise
    given[copied] = near / np.linalg.norm(near, axis=-1, keepdims=True)
    write_index(folder, given)
    return copied


def states(folder: str) -> set[tuple[str, int]]:
    """What is kept of how far comparisons are."""
    place = os.path.join(folder, FOLDER)
    names = os.listdir(place) if os.path.isdir(place) else []
    paths = [os.path.join(place, name) for name in names if name.endswith(".npz")]
    return {(path, os.stat(path).st_mtime_ns) for path in paths}


def run(command: list[str], folder: str) -> tuple[float, float]:
    """Seconds, and gigabytes at the peak, of a command that is killed once."""
    before, start = states(folder), time.monotonic()
    process = subprocess.Popen(command)
    while states(folder) == before and process.poll() is None:
        time.sleep(0.2)
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        process.wait()
        print(f"killed after {time.monotonic() - start:.0f} s", flush=True)
        subprocess.run(command, check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    return time.monotonic() - start, peak


def main(_: list[str]) -> None:
    """Prints a line for each command."""
    with tempfile.TemporaryDirectory() as place:
        folder = os.path.join(place, "index")
        copied = make(folder)
        print(f"{_ROWS.value:,} rows", flush=True)
        limits = {"duplicates": _NEAR.value, "groups": _GROUP.value}
        for command in _COMMANDS.value:
            limit = limits[command]
            output = os.path.join(place, f"{command}.csv")
            flags_of = [f"--index={folder}", f"--max_distance={limit}"]
            seconds, peak = run(
                [sys.executable, "-m", f"abe_tf.{command}", *flags_of]
                + [f"--output={output}"],
                folder,
            )
            print(f"{command} within {limit}: {seconds:.0f} s, {peak:.2f} GB")
            if command == "duplicates":
                with open(output, newline="", encoding="utf-8") as file:
                    rows = {row["path"] for row in csv.DictReader(file)}
                there = [f"/none/{row:09d}.jpg" in rows for row in copied]
                print(f"{sum(there):,} of {len(there):,} copies are in a set")


if __name__ == "__main__":
    app.run(main)
