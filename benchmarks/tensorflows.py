"""Is one set of pins as fast as the other?

    make TF=2.21 lint
    python -m benchmarks.tensorflows --other=.venv-2.21/bin/python

This environment and the other's take turns: a training step and inference of ABE-8^512
on GoogLeNet, 224 x 224, batch 16, each variant in a process of its own; then whole
commands, as in `benchmarks.revisions`: a training of one step from the command's start,
an export, and the local server under 16 connections (needs wrk). Wall time and CPU
seconds; ratios are of neighbouring turns.
"""

from __future__ import annotations

import multiprocessing.spawn
import os
import statistics
import subprocess
import sys

from absl import app, flags

from benchmarks import revisions, train_step

_OTHER = flags.DEFINE_string("other", None, "the other environment's Python")
_PRECISIONS = flags.DEFINE_list(
    "precisions",
    ["float32", "bfloat16"],
    "of the steps that are timed; bfloat16 takes very long without processors for it",
)
_COMMANDS = flags.DEFINE_list(
    "commands", ["start", "export", "serving"], "whole commands that are timed"
)
_STEPS = ("train", "infer")
_BATCH = 16


def _name(python: str) -> str:
    """The TensorFlow of an interpreter's environment."""
    script = "import importlib.metadata as m; print(m.version('tensorflow'))"
    told = subprocess.run([python, "-c", script], check=True, capture_output=True)
    return told.stdout.decode().strip()


def _variant(python: str, precision: str) -> train_step.Variant:
    multiprocessing.spawn.set_executable(python)
    try:
        return train_step.Variant(train_step.ours, precision, 8, _BATCH)
    finally:
        multiprocessing.spawn.set_executable(sys.executable)


def steps(sides: list[revisions.Side], precision: str, rounds: int) -> None:
    """Training steps and inference, in turns."""
    variants = {side: _variant(side.python, precision) for side in sides}
    for task in _STEPS:
        found: dict[revisions.Side, list[tuple[float, float]]] = {}
        for number in range(rounds):
            for side in sides[:: 1 if number % 2 else -1]:
                found.setdefault(side, []).append(variants[side].measure(task, 2))
        for place, kind in enumerate(("wall", "CPU")):
            one, other = ([turn[place] for turn in found[side]] for side in sides)
            ratios = [b / a for a, b in zip(one, other, strict=True)]
            print(
                f"{precision} {task} {kind}: {sides[0].name} "
                f"{statistics.median(one):.2f} s, {sides[1].name} "
                f"{statistics.median(other):.2f} s; {sides[1].name} / {sides[0].name} "
                f"{statistics.median(ratios):.3f} "
                f"({min(ratios):.3f} to {max(ratios):.3f})",
                flush=True,
            )
    for side, variant in variants.items():
        print(f"{precision} memory: {side.name} {variant.memory():.0f} MB", flush=True)
        variant.end()


def main(_: list[str]) -> None:
    """Prints medians and ratios."""
    pythons = sys.executable, os.path.abspath(_OTHER.value)
    sides = [revisions.Side(_name(python), python=python) for python in pythons]
    for precision in _PRECISIONS.value:
        steps(sides, precision, flags.FLAGS.rounds)
    for part in _COMMANDS.value:
        revisions.compare(part, *sides, flags.FLAGS.rounds)


if __name__ == "__main__":
    flags.mark_flag_as_required("other")
    app.run(main)
