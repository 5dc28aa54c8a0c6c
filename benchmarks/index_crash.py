"""Kills the indexer at random moments; is what it leaves ever wrong?

    python -m benchmarks.index_crash --workdir=RUN --data_dir=PHOTOS --kills=20

A folder of photos is indexed by a real process, which gets SIGKILL at a random moment,
again and again, while photos are added, renamed and removed. A search of another
process runs all the while, and must never fail. At the end one indexer is left alone:
the index must hold what one that is made afresh holds.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
from absl import app, flags

from abe_tf.data import photos
from abe_tf.photo_index import database, searching

_WORKDIR = flags.DEFINE_string("workdir", None, "a run folder", required=True)
_PHOTOS = flags.DEFINE_string("data_dir", None, "a folder of photos", required=True)
_KILLS = flags.DEFINE_integer("kills", 20, "how many")
_COUNT = flags.DEFINE_integer("photos", 600, "photos at the start")
# As far as two runs of one network on one image may differ.
_TOLERANCE = 1e-5


def command(index: str, pile: str) -> list[str]:
    """An indexer in small batches, so that many moments differ."""
    return [
        *(sys.executable, "-m", "abe_tf.index", f"--index={index}", "--prune"),
        *("--quiet", "--batch_size=8", f"--workdir={_WORKDIR.value}", pile),
    ]


def content(index: str) -> dict[str, tuple[str | None, np.ndarray]]:
    """Label and embedding of every photo, by path."""
    with searching.moment(index) as now, database.opened(index) as connection:
        return {
            os.fsdecode(row["path"]): (row["label"], now.embedding(row["row"]))
            for row in connection.execute(
                "SELECT path, label, row FROM photo JOIN content "
                "ON content.id = content WHERE gone IS NULL"
            )
        }


def change(pile: str, spare: list[str], rng: random.Random) -> None:
    """Adds, renames and removes some photos."""
    there = photos.find(pile).paths
    for path in rng.sample(there, 5):
        os.remove(path)
    for path in rng.sample(photos.find(pile).paths, 5):
        folder = os.path.join(pile, f"moved_{rng.randrange(5)}")
        os.makedirs(folder, exist_ok=True)
        os.rename(path, os.path.join(folder, f"{rng.random()}.jpg"))
    for path in (spare.pop() for _ in range(min(12, len(spare)))):
        shutil.copy(path, os.path.join(pile, f"{rng.random()}.jpg"))


class Searches(threading.Thread):
    """Asks an index again and again, from when it exists."""

    def __init__(self, index: str) -> None:
        super().__init__()
        self.index, self.done, self.failed = index, 0, []
        self.ended = threading.Event()

    def run(self) -> None:
        """Until it is told to end."""
        while not self.ended.is_set():
            if not os.path.exists(os.path.join(self.index, database.NAME)):
                time.sleep(0.1)
                continue
            try:
                with searching.moment(self.index) as now:
                    query = np.full([1, *now.shape], now.shape[1] ** -0.5, np.float32)
                    nothing = query[:0]
                    hits = now.search(query, nothing, 5, searching.FilterConfig())
                    distances = [hit.distance for hit in hits]
                    assert distances == sorted(distances), distances
                self.done += 1
            except Exception as error:
                self.failed.append(repr(error))


def main(_: list[str]) -> None:
    """Prints what was found after all kills."""
    rng = random.Random(0)
    given = photos.find(_PHOTOS.value).paths
    rng.shuffle(given)
    with tempfile.TemporaryDirectory() as folder:
        pile, index = os.path.join(folder, "pile"), os.path.join(folder, "index")
        os.mkdir(pile)
        for number, path in enumerate(given[: _COUNT.value]):
            kind = os.path.join(pile, os.path.basename(os.path.dirname(path)))
            os.makedirs(kind, exist_ok=True)
            shutil.copy(path, os.path.join(kind, f"{number}.jpg"))
        spare = given[_COUNT.value :]
        searches = Searches(index)
        searches.start()
        for kill in range(_KILLS.value):
            process = subprocess.Popen(command(index, pile))
            # The first seconds go by before the first photo.
            time.sleep(rng.uniform(0, 12))
            change(pile, spare, rng)
            time.sleep(rng.uniform(0, 4))
            process.send_signal(signal.SIGKILL)
            process.wait()
            print(f"kill {kill + 1}: {searches.done} searches", flush=True)
        subprocess.run(command(index, pile), check=True)
        searches.ended.set()
        searches.join()
        fresh = os.path.join(folder, "fresh")
        subprocess.run(command(fresh, pile), check=True)
        ours, theirs = content(index), content(fresh)
        same = ours.keys() == theirs.keys() and all(
            ours[path][0] == theirs[path][0]
            and np.abs(ours[path][1] - theirs[path][1]).max() <= _TOLERANCE
            for path in ours
        )
        print(
            f"{_KILLS.value} kills: {len(ours)} photos, "
            f"{'as' if same else 'NOT as'} in an index made afresh; "
            f"{searches.done} searches, {len(searches.failed)} failed "
            f"{searches.failed[:3]}"
        )
        sys.exit(0 if same and not searches.failed else 1)


if __name__ == "__main__":
    app.run(main)
