"""Which photos are embedded, and that none is left out without a word.

In the environment of requirements-bulk.txt, by `make test-all`; elsewhere skipped.
"""

import os

import pytest

from abe_tf.errors import InputError
from abe_tf.retrieval import shards

pytestmark = pytest.mark.slow
pytest.importorskip("apache_beam", reason="needs requirements-bulk.txt")

from abe_tf.bulk import listing  # noqa: E402

JPEG = b"\xff\xd8\xff\xe0 no more than how one begins"


@pytest.fixture
def pile(tmp_path):
    """Folders of two kinds, beside what is no photo."""
    folder = tmp_path / "photos-2024"
    for name in ("cats/a.jpg", "cats/b.jpg", "dogs/c.jpg", "d.jpg"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(JPEG)
    return folder


def names(found, folder):
    return [(os.path.relpath(path, folder), label) for path, label in found]


def test_a_folder_gives_its_photos_and_what_kind_they_show(pile, tmp_path):
    found, left_out = listing.listed(str(pile), "folders", str(tmp_path / "photos"))
    assert left_out == []
    assert names(found, pile) == [
        *(("cats/a.jpg", "cats"), ("cats/b.jpg", "cats")),
        *(("d.jpg", ""), ("dogs/c.jpg", "dogs")),
    ]
    found, _ = listing.listed(str(pile / "*s" / "*.jpg"), "folders", "out")
    assert names(found, pile) == [
        *(("cats/a.jpg", "cats"), ("cats/b.jpg", "cats"), ("dogs/c.jpg", "dogs"))
    ]
    found, _ = listing.listed(str(pile / "**"), "none", "out")
    assert [label for _, label in found] == [""] * 4


def test_what_is_left_out_is_named(pile, tmp_path):
    (pile / "film.mov").write_bytes(b"no photo")
    (pile / ".hidden.jpg").write_bytes(JPEG)
    (pile / "cats" / "nowhere").symlink_to(tmp_path / "nowhere")
    with open(os.fsencode(pile) + b"/caf\xe9.jpg", "wb") as file:
        file.write(JPEG)
    found, left_out = listing.listed(str(pile), "folders", "out")
    assert len(found) == 4
    told = {os.path.basename(one.path): one.reason for one in left_out}
    assert set(told) == {"film.mov", ".hidden.jpg", "nowhere", "caf\udce9.jpg"}
    assert told["caf\udce9.jpg"] == "of a name that is no text in UTF-8"


def test_links_are_followed(pile, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "e.jpg").write_bytes(JPEG)
    (pile / "link").symlink_to(elsewhere)
    found, _ = listing.listed(str(pile), "folders", "out")
    assert ("link/e.jpg", "link") in names(found, pile)


def test_what_was_written_is_no_photo_and_what_is_called_like_it_is(pile):
    output = pile / "cats"
    for ending in (shards.PARQUET, shards.LIST, shards.BROKEN):
        (pile / f"cats-00000{ending}").write_bytes(JPEG)
    (pile / "cats-001.jpg").write_bytes(JPEG)
    (pile / "cats.manifest.json").write_bytes(JPEG)
    found, _ = listing.listed(str(pile), "folders", str(output))
    assert len(found) == 5 and ("cats-001.jpg", "") in names(found, pile)


@pytest.mark.parametrize("first", ["", "sep={}\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_lists(tmp_path, delimiter, first):
    path = tmp_path / "list.csv"
    text = "path,label\na.jpg,one kind\ngs://bucket/b.jpg,\n/c/../d.jpg,x\n"
    path.write_text(first.format(delimiter) + text.replace(",", delimiter))
    assert listing.listed(str(path), "folders", "out")[0] == [
        (str(tmp_path / "a.jpg"), "one kind"),
        *(("gs://bucket/b.jpg", ""), ("/d.jpg", "x")),
    ]
    assert listing._joined("gs://bucket/lists", "../a.jpg") == "gs://bucket/a.jpg"


@pytest.mark.parametrize(
    "text, said",
    [
        ("path\na.jpg\n./a.jpg\n", "none twice. Received: .*line 3: .*a.jpg' again"),
        ("path\n\n,x\n", "must be a CSV file|must name a path|empty"),
        ('path\n"a.jpg', "--input must be a CSV file in UTF-8"),
        ("path\na\0b.jpg\n", "must name a path|must be a CSV file"),
        ("name\na.jpg\n", "--input must have the column path"),
        ("path\n", "--input must list photos"),
    ],
)
def test_a_wrong_list_is_refused_in_a_line(text, said, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        listing.listed(str(path), "folders", "out")


def test_any_name_comes_through_a_list():
    text = shards.csv_text(("path", "label"), [("a\rb.jpg", ""), ('c",\n.jpg', "d")])
    import csv
    import io

    lines = list(csv.reader(io.StringIO(text, newline="")))
    assert lines == [["path", "label"], ["a\rb.jpg", ""], ['c",\n.jpg', "d"]]
