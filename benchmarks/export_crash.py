"""Kills the exporter at random moments; is there ever a version that does not load?

    python -m benchmarks.export_crash --workdir=runs/digits_abe4 --kills=20

After each SIGKILL every version in the model folder is loaded through TensorFlow's C
API and answers. At the end one export is left alone, and must become the next version.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time

from absl import app, flags

_WORKDIR = flags.DEFINE_string("workdir", None, "A run folder.", required=True)
_KILLS = flags.DEFINE_integer("kills", 20, "How many.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where the photos are.")


def start(export_dir: str) -> subprocess.Popen:
    """An exporter."""
    command = [sys.executable, "-m", "export.saved_model"]
    command += [f"--workdir={_WORKDIR.value}", f"--export_dir={export_dir}"]
    if _DATA_DIR.value:
        command.append(f"--data_dir={_DATA_DIR.value}")
    # A process group of its own: the judge that it starts dies with it.
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
    )


def versions(export_dir: str) -> list[str]:
    """What a server would look at."""
    return sorted(name for name in os.listdir(export_dir) if name.isdigit())


def check(export_dir: str, photos: str) -> None:
    """Loads every version, and lets it answer."""
    for name in versions(export_dir):
        path = os.path.join(export_dir, name)
        command = [sys.executable, "-m", "export.check", f"--model={path}"]
        flags_of_check = [f"--photos={photos}", "--batches=1"]
        flags_of_check.append("--signatures=serving_default")
        subprocess.run(
            [*command, *flags_of_check],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def main(_: list[str]) -> None:
    """Kills and checks."""
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        export_dir = os.path.join(folder, "model")
        photos = os.path.join(folder, "photos")
        os.mkdir(photos)
        with open(os.path.join(photos, "0"), "wb") as file:
            # A GIF of one black pixel.
            file.write(bytes.fromhex(_GIF))
        begun = time.monotonic()
        start(export_dir).wait()
        whole = time.monotonic() - begun
        assert versions(export_dir) == ["1"], "The first export failed."
        completed = 1
        for kill in range(_KILLS.value):
            process = start(export_dir)
            time.sleep(rng.uniform(0.1, 1.1) * whole)
            running = process.poll() is None
            if running:
                os.killpg(process.pid, 9)
            process.wait()
            check(export_dir, photos)
            left = [n for n in os.listdir(export_dir) if n.startswith("incomplete")]
            completed = len(versions(export_dir))
            print(
                f"{kill + 1}: {'killed' if running else 'had ended'}; {completed} "
                f"version(s), all load; {len(left)} incomplete folder(s)",
                flush=True,
            )
        start(export_dir).wait()
        assert len(versions(export_dir)) == completed + 1, "The last export failed."
        check(export_dir, photos)
        print(f"{_KILLS.value} kills, {completed + 1} versions, all load and answer")


_GIF = (
    "47494638396101000100800000000000ffffff21f90401000000002c"
    "00000000010001000002024401003b"
)


if __name__ == "__main__":
    app.run(main)
