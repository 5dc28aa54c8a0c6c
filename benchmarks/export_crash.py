"""Kills the exporter at random moments; is there ever a version that does not load?

    python -m benchmarks.export_crash --workdir=runs/digits_abe4 --kills=20

After each SIGKILL every version in the model folder is loaded through TensorFlow's C
API and answers. At the end one export is left alone: it must become the next version,
and sweep what the killed ones left. All the while a local server serves the folder, and
must answer every request through all changes of the version.
"""

from __future__ import annotations

import base64
import os
import random
import subprocess
import sys
import tempfile
import threading
import time

import requests
from absl import app, flags

from export.runtime import model_folder
from tests.helpers.served import Served

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


def check(export_dir: str, photos: str) -> None:
    """Loads every version, and lets it answer."""
    for number in model_folder.versions(export_dir):
        path = os.path.join(export_dir, str(number))
        command = [sys.executable, "-m", "export.runtime.check", f"--model={path}"]
        flags_of_check = [f"--photos={photos}", "--batches=1"]
        flags_of_check.append("--signatures=serving_default")
        subprocess.run(
            [*command, *flags_of_check],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


class Asker:
    """Asks a server about one image, over and over, beside all that happens.

    Attributes:
      answered: How often it answered.
      failed: What it said otherwise.
    """

    def __init__(self, url: str, image: bytes) -> None:
        self._url, self.answered, self.failed = url, 0, list[str]()
        encoded = base64.b64encode(image).decode()
        self._body = {"instances": [{"b64": encoded}]}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        session = requests.Session()
        while not self._stopped.wait(0.02):
            try:
                answer = session.post(
                    f"{self._url}:predict", json=self._body, timeout=60
                )
            except requests.RequestException as error:
                self.failed.append(str(error))
                continue
            if answer.status_code == 200:
                self.answered += 1
            else:
                self.failed.append(answer.text)

    def stop(self) -> None:
        """Ends it."""
        self._stopped.set()
        self._thread.join()


def kill_again_and_again(export_dir: str, photos: str, whole: float) -> None:
    """Kills an exporter at random moments of the time that a whole one takes."""
    rng = random.Random(0)
    for kill in range(_KILLS.value):
        process = start(export_dir)
        time.sleep(rng.uniform(0.1, 1.1) * whole)
        running = process.poll() is None
        if running:
            os.killpg(process.pid, 9)
        process.wait()
        check(export_dir, photos)
        left = [n for n in os.listdir(export_dir) if n.startswith("incomplete")]
        print(
            f"{kill + 1}: {'killed' if running else 'had ended'}; "
            f"{len(model_folder.versions(export_dir))} version(s), all load; "
            f"{len(left)} incomplete folder(s)",
            flush=True,
        )


def main(_: list[str]) -> None:
    """Kills, checks and asks."""
    with tempfile.TemporaryDirectory() as folder:
        export_dir = os.path.join(folder, "model")
        photos = os.path.join(folder, "photos")
        os.mkdir(photos)
        image = bytes.fromhex(_GIF)
        with open(os.path.join(photos, "0"), "wb") as file:
            file.write(image)
        start(export_dir).wait()
        assert model_folder.versions(export_dir) == [1], "The first export failed."
        server = Served(export_dir)
        asker = Asker(server.url, image)
        try:
            begun = time.monotonic()
            start(export_dir).wait()
            whole = time.monotonic() - begun
            assert model_folder.versions(export_dir) == [1, 2], "An export failed."
            kill_again_and_again(export_dir, photos, whole)
            count = len(model_folder.versions(export_dir))
            start(export_dir).wait()
        finally:
            asker.stop()
            server.stop()
        assert len(model_folder.versions(export_dir)) == count + 1, "The last failed."
        check(export_dir, photos)
        left = [n for n in os.listdir(export_dir) if n.startswith("incomplete")]
        assert not left, "What killed exports left was not swept."
        print(
            f"{_KILLS.value} kills, {count + 1} versions, all load and answer; the "
            f"server answered {asker.answered} times and failed {len(asker.failed)}"
        )
        assert not asker.failed, asker.failed[:3]


_GIF = (
    "47494638396101000100800000000000ffffff21f90401000000002c"
    "00000000010001000002024401003b"
)


if __name__ == "__main__":
    app.run(main)
