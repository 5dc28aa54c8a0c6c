"""What does training gain by keeping the memory that it frees?

    python -m benchmarks.allocator
    .venv-2.21/bin/python -m benchmarks.allocator

Trainings of the demo, a few steps each, in processes of their own, take turns: as they
are, and with glibc's allocator as it comes (`MALLOC_PERTURB_=0`, which changes nothing
but that training leaves the allocator alone). Images a second, seconds of the
processors in user code and in the kernel, peak memory; ratios are of neighbours.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile

from absl import app, flags

_ROUNDS = flags.DEFINE_integer("rounds", 3, "turns of each", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 40, "of a training", lower_bound=10)
_FLAGFILE = flags.DEFINE_string("flags", "flags/digits_abe4.cfg", "of the trainings")
_ARMS = {"kept": {}, "glibc's": {"MALLOC_PERTURB_": "0"}}


def train(environment: dict[str, str]) -> dict[str, float]:
    """One training in a process of its own, and what it took."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "abe_tf.train", f"--flagfile={_FLAGFILE.value}"),
            *(f"--steps={_STEPS.value}", "--log_every=5", "--eval_every=1000000"),
            *("--nopictures", f"--workdir={folder}/run"),
        ]
        silence = os.open(os.devnull, os.O_WRONLY)
        process = os.posix_spawn(
            sys.executable,
            command,
            {**os.environ, **environment},
            file_actions=[(os.POSIX_SPAWN_DUP2, silence, 1)],
        )
        os.close(silence)
        _, status, used = os.wait4(process, 0)
        if status:
            sys.exit(f"The training ended with {os.waitstatus_to_exitcode(status)}.")
        with open(f"{folder}/run/metrics.jsonl", encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
    rates = [x["images_per_second"] for x in lines if "images_per_second" in x]
    return {
        "images/s": statistics.median(rates),
        "user s": used.ru_utime,
        "kernel s": used.ru_stime,
        "peak MB": used.ru_maxrss / 1024,
    }


def main(_: list[str]) -> None:
    """Prints medians and ratios."""
    taken: dict[str, list[dict[str, float]]] = {arm: [] for arm in _ARMS}
    for number in range(_ROUNDS.value):
        for arm in list(_ARMS)[:: 1 if number % 2 else -1]:
            taken[arm].append(train(_ARMS[arm]))
            print(arm, {k: round(v, 1) for k, v in taken[arm][-1].items()}, flush=True)
    kept, before = (taken[arm] for arm in _ARMS)
    for name in kept[0]:
        ratios = [a[name] / b[name] for a, b in zip(kept, before, strict=True)]
        print(
            f"{name}: kept {statistics.median(turn[name] for turn in kept):.1f}, "
            f"glibc's {statistics.median(turn[name] for turn in before):.1f}; ratio "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    app.run(main)
