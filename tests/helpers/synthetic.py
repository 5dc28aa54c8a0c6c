"""Indices of random embeddings, without a network or a photo."""

import os

import numpy as np

from abe_tf.layout import Layout
from abe_tf.photo_index import database, thumbnails, vectors


class SyntheticIndex:
    """An index of contents that are numbers, and what may happen to them.

    Args:
      folder: Its folder, which is made.
      count: Number of contents.
      learners: Number of learners.
      dim: Dimensions of one.
      layout: Their sizes and lengths where they differ.
    """

    def __init__(self, folder, count, learners=4, dim=8, layout=None):
        self.layout = layout or Layout.equal(learners, dim)
        self.folder, self.shape = str(folder), self.layout.shape
        self._rng = np.random.default_rng(0)
        os.makedirs(os.path.join(self.folder, vectors.FOLDER))
        about = {**self.layout.values(), "generation": 1, "rows": 0}
        about |= {"format": database.format_of(self.layout)}
        about |= {"fingerprint": "f" * 16, "source": {}, "state": []}
        about |= {"weights": [1 / self.layout.learners] * self.layout.learners}
        database.create(self.folder, about)
        self.embeddings = np.empty([0, *self.shape], np.float32)
        with database.opened(self.folder, write=True) as connection:
            thumbnails.prepare(connection)
        self.add(count)

    def random(self, count):
        """Learner embeddings of no photo."""
        some = self._rng.normal(size=[count, *self.shape]).astype(np.float32)
        some = self.layout.apart(self.layout.joined(some))
        some /= np.linalg.norm(some, axis=-1, keepdims=True)
        return some * np.array(self.layout.lengths, np.float32)[:, np.newaxis]

    def add(self, count):
        """Adds contents, a file each, of three kinds and of none."""
        rows, new = len(self.embeddings), self.random(count)
        vectors.append(self.folder, 1, rows, new, self.layout)
        self.embeddings = np.concatenate([self.embeddings, new])
        numbers = range(rows, rows + count)
        kinds = ("ant", "bee", "cat", None)
        with self._writing() as connection:
            connection.executemany(
                "INSERT INTO content (id, digest, row, width, height, bytes) "
                "VALUES (?, ?, ?, 40, 30, 999)",
                [(n + 1, n.to_bytes(32, "big"), n) for n in numbers],
            )
            connection.executemany(
                "INSERT INTO photo (path, size, mtime_ns, content, label) "
                "VALUES (?, 999, 7, ?, ?)",
                [(b"/photos/%05d.jpg" % n, n + 1, kinds[n % 4]) for n in numbers],
            )
            database.tell(connection, {"rows": rows + count})

    def remove(self, numbers):
        """Has the files of contents gone."""
        with self._writing() as connection:
            connection.executemany(
                "UPDATE photo SET gone = 1 WHERE content = ?", [(n,) for n in numbers]
            )

    def label(self, numbers, label):
        """Has a user say what contents show."""
        with self._writing() as connection:
            connection.executemany(
                "UPDATE content SET user_label = ? WHERE id = ?",
                [(label, n) for n in numbers],
            )

    def nearest(self, query, count, without=()):
        """Numbers of the nearest contents, and their ensemble distances."""
        differences = self.embeddings.astype(np.float64) - query
        distances = np.linalg.norm(differences, axis=-1).mean(-1)
        distances[[n - 1 for n in without]] = np.inf
        order = np.argsort(distances)[:count]
        return (order + 1).tolist(), distances[order]

    def _writing(self):
        return _Writing(self.folder)


class _Writing:
    def __init__(self, folder):
        self._folder = folder

    def __enter__(self):
        self._opened = database.opened(self._folder, write=True)
        connection = self._opened.__enter__()
        self._transaction = database.transaction(connection)
        self._transaction.__enter__()
        return connection

    def __exit__(self, *error):
        self._transaction.__exit__(*error)
        self._opened.__exit__(*error)
