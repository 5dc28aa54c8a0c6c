"""An index of format 1 is read, searched and brought up to date as it was meant."""

import io
import tarfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from abe_tf.config.index import FilterConfig, SourceConfig, UpdateConfig
from abe_tf.photo_index import indexing, searching
from tests.conftest import ROOT

GOLDENS = ROOT / "tests" / "goldens"


@pytest.fixture
def golden(tmp_path):
    for name in ("index_1", "revision_1c14863"):
        with tarfile.open(GOLDENS / f"{name}.tar.xz") as archive:
            archive.extractall(tmp_path, filter="data")
    return tmp_path


@pytest.fixture
def expected(golden):
    with np.load(golden / "index.npz") as found:
        return dict(found)


def search(index, query, **asked):
    with searching.moment(str(index)) as now:
        query = query[np.newaxis]
        return now.search(query, query[:0], 20, FilterConfig(**asked))


def test_it_is_searched_with_the_same_answers(golden, expected):
    hits = search(golden / "index", expected["vectors"][0])
    assert [hit.row for hit in hits] == expected["rows"].tolist()
    distances = [hit.distance for hit in hits]
    np.testing.assert_allclose(distances, expected["distances"], rtol=0, atol=1e-12)
    firsts = [hit.places[0] for hit in hits]
    assert [place.path for place in firsts] == expected["paths"].tolist()
    assert [place.label for place in firsts] == expected["labels"].tolist()
    assert [place.path for place in hits[0].places][1:] == ["/photos/two/copy.png"]
    (said,) = search(golden / "index", expected["vectors"][0], label=("said",))
    assert said.places[0].path == "/photos/one/02.png"


def thumbnail(index, hit):
    with searching.moment(str(index)) as now:
        of_photo = now.thumbnail_of_photo(hit.places[0].number)
        assert now.thumbnail_of_row(hit.row) == of_photo
    with Image.open(io.BytesIO(of_photo)) as image:
        return image.format, image.size


def test_it_is_brought_up_to_date(golden, expected):
    pile = golden / "pile"
    (pile / "more").mkdir(parents=True)
    rng = np.random.default_rng(0)
    png = tf.io.encode_png(rng.integers(0, 256, [96, 96, 3], np.uint8)).numpy()
    (pile / "more" / "0.png").write_bytes(png)
    # The run that made it lies elsewhere by now, and is the same by its fingerprint.
    source = SourceConfig(workdir=str(golden / "run"))
    options = UpdateConfig(quiet=True)
    (outcome,) = indexing.index(str(golden / "index"), source, options, [str(pile)])
    assert outcome.tally.added == 1
    hits = search(golden / "index", expected["vectors"][0])
    assert len(hits) == len(expected["rows"]) + 1
    (new,) = search(golden / "index", expected["vectors"][0], label=("more",))
    assert new.row == 12
    # Of before they are files, of now they lie in the database.
    first, *_ = search(golden / "index", expected["vectors"][0])
    assert thumbnail(golden / "index", first) == ("JPEG", (48, 48))
    assert thumbnail(golden / "index", new) == ("JPEG", (96, 96))
    (golden / "index" / "thumbnails").rename(golden / "away")
    assert thumbnail(golden / "index", new) == ("JPEG", (96, 96))
    with searching.moment(str(golden / "index")) as now:
        assert now.thumbnail_of_row(first.row) is None
