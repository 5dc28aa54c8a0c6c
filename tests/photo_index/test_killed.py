"""An indexer that is killed and started again ends as one that was not."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np

from tests.conftest import ROOT
from tests.photo_index.conftest import Index


def rows(folder):
    """Rows that are committed; none before there is a database."""
    path = os.path.join(folder, "photo_index.sqlite")
    if not os.path.exists(path):
        return 0
    with sqlite3.connect(path, timeout=60) as database:
        query = "SELECT value FROM about WHERE key = 'rows'"
        return int(database.execute(query).fetchone()[0])


def test_two_kills_lose_a_batch_at_most(index, photos, tmp_path):
    pile = tmp_path / "pile"
    shutil.copytree(photos, pile)
    flags = [f"--index={index.folder}", f"--workdir={index.source.workdir}", str(pile)]
    before = 0
    for kill in range(2):
        process = subprocess.Popen(
            [sys.executable, "-m", "abe_tf.index", *flags, "--batch_size=2", "--prune"],
            cwd=ROOT,
        )
        deadline = time.monotonic() + 900
        while rows(index.folder) < before + 4:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert rows(index.folder) >= before + 4
        before = rows(index.folder)
        # Meanwhile one is renamed, and one is gone.
        os.rename(pile / f"class_{kill}/1.jpg", pile / f"class_7/renamed {kill}.jpg")
        os.remove(pile / f"class_{kill}/2.jpg")
    index.update(pile, prune=True)
    assert rows(index.folder) <= 40
    fresh = Index(str(tmp_path / "fresh"), index.source)
    fresh.update(pile)
    ours, theirs = index.present(), fresh.present()
    assert len(theirs) == 38
    assert {path: label for path, (label, _) in ours.items()} == {
        path: label for path, (label, _) in theirs.items()
    }
    # Batches of other sizes round otherwise.
    for path, (_, vector) in theirs.items():
        one, other = (np.frombuffer(v, np.float32) for v in (ours[path][1], vector))
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
