"""An index of a few photos, made within the test's process."""

import dataclasses
import functools
import sqlite3

import numpy as np
import pytest

from abe_tf.config.index import FilterConfig, SourceConfig, UpdateConfig
from abe_tf.photo_index import indexing, model, searching
from abe_tf.photo_index.asking import Asker
from abe_tf.photo_index.contents import content_of


@dataclasses.dataclass
class Index:
    """An index, and what tests do with it."""

    folder: str
    source: SourceConfig

    def update(self, *paths, source=None, **options):
        """Brings it up to date; what happened, root by root."""
        options = UpdateConfig(**{"quiet": True, "batch_size": 4, **options})
        source = self.source if source is None else source
        return list(
            indexing.index(self.folder, source, options, [str(p) for p in paths])
        )

    def rows(self, query, *values):
        with sqlite3.connect(f"{self.folder}/photo_index.sqlite") as database:
            return database.execute(query, values).fetchall()

    def present(self):
        """What is there: label, and embedding to the bit, by path."""
        with searching.moment(self.folder) as now:
            found = self.rows(
                "SELECT path, label, row FROM photo "
                "JOIN content ON content.id = content WHERE gone IS NULL"
            )
            return {
                path.decode(): (
                    label,
                    None if row is None else now.embedding(row).tobytes(),
                )
                for path, label, row in found
            }

    def search(self, path, count=10, unlike=(), **asked):
        """Hits for a photo that the index holds."""
        with searching.moment(self.folder) as now:
            asker = Asker(now.about, SourceConfig())
            like = asker.embed(now, content_of(str(path)))[0][np.newaxis]
            others = [asker.embed(now, content_of(str(one)))[0] for one in unlike]
            others = np.array(others, np.float32).reshape(-1, *now.shape)
            return now.search(like, others, count, FilterConfig(**asked))


# Building and tracing a network takes longer than all that tests do with it.
@pytest.fixture(scope="session", autouse=True)
def load_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "load", functools.cache(model.load))
        yield


@pytest.fixture
def index(trained, tmp_path):
    workdir, _, _ = trained
    return Index(str(tmp_path / "index"), SourceConfig(workdir=str(workdir)))
