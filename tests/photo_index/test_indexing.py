"""An index says what lies there, after whatever happened to the files."""

import io
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import abe_tf
from abe_tf.config.index import SourceConfig, UpdateConfig
from abe_tf.errors import InputError
from abe_tf.photo_index import database, indexing
from abe_tf.photo_index.contents import digest_of
from tests.conftest import ROOT


@pytest.fixture
def pile(photos, tmp_path):
    folder = tmp_path / "pile"
    shutil.copytree(photos, folder)
    return folder


def told(outcomes):
    (outcome,) = outcomes
    tally = outcome.tally
    return {
        name: getattr(tally, name)
        for name in ("added", "changed", "moved", "gone", "unchanged")
        if getattr(tally, name)
    }


def test_embeddings_are_those_of_the_run(index, pile, trained):
    index.update(pile)
    paths = sorted(index.present())
    assert len(paths) == 40
    expected = abe_tf.load(str(trained[0])).embed(paths)
    found = [
        np.frombuffer(index.present()[path][1], np.float32).reshape(expected.shape[1:])
        for path in paths
    ]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert index.present()[paths[0]][0] == "class_0"


def test_what_has_not_changed_is_not_opened(index, pile, monkeypatch):
    index.update(pile)
    for path in pile.rglob("*.*"):
        path.chmod(0)
    opened = []
    real = open

    def noted(path, *rest, **named):
        opened.append(str(path))
        return real(path, *rest, **named)

    monkeypatch.setattr("builtins.open", noted)
    assert told(index.update()) == {"unchanged": 40}
    assert not [path for path in opened if str(pile) in path]


def test_what_is_added_changed_moved_and_gone(index, pile):
    index.update(pile)
    before = index.present()
    numbers = dict(index.rows("SELECT path, id FROM photo"))
    os.rename(pile / "class_1", pile / "class_9")
    shutil.copy(pile / "class_0/0.png", pile / "copy.png")
    shutil.copy(pile / "class_2/1.jpg", pile / "class_2/2.jpg")
    (pile / "class_3/0.png").unlink()
    Image.new("RGB", (50, 40), "red").save(pile / "new.png")
    happened = {"added": 2, "changed": 1, "moved": 5, "gone": 1, "unchanged": 33}
    assert told(index.update()) == happened
    after = index.present()
    assert len(after) == 41
    assert str(pile / "class_3/0.png") not in after
    # Moved photos keep their number and vector; their folder names them anew.
    old, new = str(pile / "class_1/3.jpg"), str(pile / "class_9/3.jpg")
    assert after[new] == ("class_9", before[old][1])
    numbered = dict(index.rows("SELECT path, id FROM photo"))
    assert numbered[new.encode()] == numbers[old.encode()]
    for copy, of in (("copy.png", "class_0/0.png"), ("class_2/2.jpg", "class_2/1.jpg")):
        assert after[str(pile / copy)][1] == before[str(pile / of)][1]


def test_a_photo_that_comes_back_is_not_read_again(index, pile, tmp_path):
    index.update(pile)
    before = index.present()
    rows = index.rows("SELECT value FROM about WHERE key = 'rows'")
    aside = tmp_path / "aside.png"
    shutil.move(pile / "class_3/0.png", aside)
    assert told(index.update())["gone"] == 1
    shutil.move(aside, pile / "class_3/0.png")
    assert told(index.update())["added"] == 1
    assert index.present() == before
    assert index.rows("SELECT value FROM about WHERE key = 'rows'") == rows


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_every_row_belongs_to_a_content(index, pile, batch_size):
    for number in range(20):
        shutil.copy(pile / "class_0/1.jpg", pile / f"class_0/copy {number}.jpg")
    index.update(pile, batch_size=batch_size)
    assert len(index.present()) == 60
    assert index.rows("SELECT value FROM about WHERE key = 'rows'") == [("40",)]
    assert index.rows("SELECT row FROM content ORDER BY row") == [
        (row,) for row in range(40)
    ]
    hits = index.search(pile / "class_0/1.jpg", 40)
    assert sorted(len(hit.places) for hit in hits) == [*[1] * 39, 21]


def test_a_tenth_is_not_lost_in_silence(index, pile):
    index.update(pile)
    shutil.rmtree(pile / "class_0")
    shutil.copy(pile / "class_1/0.png", pile / "other.png")
    with pytest.raises(InputError, match="5 of 40 are gone; all else was done"):
        index.update()
    # The copy is there, and so is what is gone.
    assert len(index.present()) == 41
    assert told(index.update(prune=True)) == {"gone": 5, "unchanged": 36}
    assert len(index.present()) == 36


def test_where_a_tenth_is_gone_all_else_is_done_and_told(index, pile, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    index.update(pile, other)
    shutil.rmtree(pile / "class_0")
    (pile / "notes.txt").write_text("notes")
    shutil.copy(pile / "class_1/0.png", other / "0.png")
    (other / "gone.txt").write_text("notes")
    outcomes = indexing.index(index.folder, index.source, UpdateConfig(quiet=True), [])
    found = [next(outcomes) for _ in range(2)]
    assert {one.root: (one.tally.missing, one.tally.added) for one in found} == {
        str(pile): (5, 0),
        str(other): (0, 1),
    }
    assert [len(one.left_out) for one in found] == [1, 1]
    with pytest.raises(InputError, match="pile', where 5 of 40 are gone; all else"):
        next(outcomes)


def test_a_folder_that_is_away_is_refused(index, pile):
    index.update(pile)
    os.rename(pile, f"{pile}_away")
    with pytest.raises(InputError, match="is away"):
        index.update()
    with pytest.raises(InputError, match="existing folder"):
        index.update(pile)
    assert len(index.present()) == 40
    assert told(index.update(pile, prune=True)) == {"gone": 40}
    assert index.present() == {}


def test_broken_files_are_rows_with_a_reason(index, pile):
    whole = (pile / "class_0/1.jpg").read_bytes()
    (pile / "class_0/torn.jpg").write_bytes(whole[: len(whole) // 2])
    (pile / "class_0/empty.png").write_bytes(b"")
    (pile / "class_0/notes.txt").write_text("no photo")
    (outcome,) = index.update(pile)
    reasons = {os.path.basename(os.fsdecode(p)): why for p, why in outcome.tally.broken}
    assert set(reasons) == {"torn.jpg", "empty.png"}
    assert "cut off" in reasons["torn.jpg"] or "Invalid JPEG" in reasons["torn.jpg"]
    assert [os.path.basename(one.path) for one in outcome.left_out] == ["notes.txt"]
    assert len([1 for _, vector in index.present().values() if vector]) == 40
    # Known ones are not tried again, unless that is asked for.
    assert told(index.update()) == {"unchanged": 42}
    (outcome,) = index.update(retry=True)
    assert len(outcome.tally.broken) == 2
    (pile / "class_0/torn.jpg").write_bytes(whole)
    assert told(index.update())["changed"] == 1
    assert index.present()[str(pile / "class_0/torn.jpg")][1]


def test_formats_that_are_converted_are_read(index, pile):
    photo = Image.open(pile / "class_0/0.png")
    for name in ("a.webp", "a.tiff", "a.avif"):
        photo.save(pile / name, **({"lossless": True} if name == "a.webp" else {}))
    index.update(pile)
    present = index.present()
    png, webp, tiff, avif = (
        present[str(pile / name)][1]
        for name in ("class_0/0.png", "a.webp", "a.tiff", "a.avif")
    )
    assert png == webp == tiff
    assert len(avif) == len(png)


def test_an_index_within_the_photos_is_passed_over(index, pile):
    index.folder = str(pile / "index")
    index.update(pile)
    (outcome,) = index.update()
    assert len(index.present()) == 40
    assert [one.reason for one in outcome.left_out] == ["an index"]


def test_labels_from_a_file_or_none(index, pile, tmp_path):
    listed = tmp_path / "labels.csv"
    listed.write_text("path;label\nclass_0/0.png;a kind\nclass_1/0.png;\n")
    index.update(pile, labels=str(listed))
    labels = {label for label, _ in index.present().values()}
    assert labels == {"a kind", None}
    # What was given for a folder holds until something else is.
    index.update()
    assert {label for label, _ in index.present().values()} == labels
    index.update(pile, labels="none")
    assert {label for label, _ in index.present().values()} == {None}
    index.update(pile, labels="folders")
    assert {label for label, _ in index.present().values()} == {
        f"class_{number}" for number in range(8)
    }


def test_another_model_is_refused_and_reembeds(index, pile, trained):
    index.update(pile)
    before = index.present()
    index.rows("UPDATE content SET user_label = 'mine' WHERE row = 3")
    earlier = os.path.join(trained[0], "checkpoints", "step-4")
    other = SourceConfig(workdir=str(trained[0]), checkpoint=earlier)
    with pytest.raises(InputError, match="the model that made it"):
        index.update(source=other)
    assert index.present() == before
    outcomes = index.update(source=other, reembed=True)
    assert outcomes[0].tally.changed == 40
    paths = sorted(before)
    expected = abe_tf.load(str(trained[0]), earlier).embed(paths)
    found = [np.frombuffer(index.present()[path][1], np.float32) for path in paths]
    np.testing.assert_allclose(found, expected.reshape(40, -1), rtol=0, atol=1e-5)
    mine = "SELECT count(*) FROM content WHERE user_label = 'mine'"
    assert index.rows(mine) == [(1,)]
    assert index.rows("SELECT count(*) FROM photo") == [(40,)]
    names = os.listdir(os.path.join(index.folder, "vectors"))
    assert {name.partition("-")[0] for name in names} == {"2"}
    assert told(index.update(source=other)) == {"unchanged": 40}


def saved(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def test_a_small_bare_jpeg_is_its_own_thumbnail_and_no_other(index, pile, tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, [40, 60, 3], np.uint8)
    image, exif = Image.fromarray(pixels), Image.Exif()
    exif[0x0112] = 1
    contents = {
        "bare": saved(image),
        "grey": saved(image.convert("L"), progressive=True),
        "exif": saved(image, exif=exif),
        "comment": saved(image, comment=b"a secret"),
        "profile": saved(image, icc_profile=b"colours"),
        "four": saved(image.convert("CMYK")),
        "wide": saved(image.resize([130, 60])),
        "long": saved(Image.fromarray(rng.integers(0, 256, [100, 100, 3], np.uint8))),
    }
    contents["long"] += bytes(64_000)
    folder = tmp_path / "small"
    folder.mkdir()
    for name, content in contents.items():
        (folder / f"{name}.jpg").write_bytes(content)
    index.update(folder, thumbnail_size=100)
    kept = dict(index.rows("SELECT digest, jpeg FROM thumbnail"))
    same = {
        name
        for name, content in contents.items()
        if kept[digest_of(content)] == content
    }
    assert same == {"bare", "grey"}


def test_thumbnails_are_upright_and_found_by_content(index, pile):
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.new("RGB", (900, 300), "blue").save(pile / "turned.jpg", exif=tags)
    index.update(pile, thumbnail_size=200)
    (row,) = index.rows(
        "SELECT digest, width, height FROM content JOIN photo ON content.id = content "
        "WHERE path = ?",
        os.fsencode(pile / "turned.jpg"),
    )
    digest, width, height = row
    assert (width, height) == (300, 900)
    ((jpeg,),) = index.rows("SELECT jpeg FROM thumbnail WHERE digest = ?", digest)
    with Image.open(io.BytesIO(jpeg)) as small:
        assert small.size == (67, 200)


def test_dates_and_cameras_are_the_cameras_own(index, pile):
    tags = Image.Exif()
    tags[0x010F], tags[0x0110] = "Maker", "Maker One"
    tags.get_ifd(0x8769)[0x9003] = "2019:05:04 03:02:01"
    Image.new("RGB", (60, 50), "green").save(pile / "dated.jpg", exif=tags)
    tags.get_ifd(0x8769)[0x9003] = "no date"
    Image.new("RGB", (60, 50), "white").save(pile / "undated.jpg", exif=tags)
    index.update(pile)
    hits = index.search(pile / "dated.jpg", since="2019-05-04", until="2019-05-04")
    assert [os.path.basename(hit.places[0].path) for hit in hits] == ["dated.jpg"]
    assert hits[0].camera == "Maker One"
    (row,) = index.rows(
        "SELECT taken, camera FROM content JOIN photo ON content.id = content "
        "WHERE path = ?",
        os.fsencode(pile / "undated.jpg"),
    )
    assert row == (None, "Maker One")


def test_a_format_of_the_future_is_refused(index, pile):
    index.update(pile)
    index.rows("UPDATE about SET value = '3' WHERE key = 'format'")
    with pytest.raises(InputError, match="of format 2 or older"):
        index.update()


def test_a_read_only_index_is_searched_and_not_written(index, pile):
    index.update(pile)
    with pytest.raises(InputError), database.opened(index.folder) as connection:
        connection.execute("DELETE FROM photo")
    assert len(index.present()) == 40


def test_what_is_no_index_is_left_alone(index, pile):
    index.folder = str(pile)
    with pytest.raises(InputError, match="an empty folder or a new name"):
        index.update(pile)
    assert "vectors" not in os.listdir(pile)


def test_names_that_are_no_text_are_kept(index, pile):
    name = os.fsencode(pile) + b"/class_0/\xff'; DROP TABLE photo; --\n.png"
    shutil.copy(pile / "class_0/0.png", name)
    index.update(pile)
    assert index.rows("SELECT count(*) FROM photo WHERE path = ?", name) == [(1,)]
    hits = index.search(pile / "class_0/0.png", 1)
    assert {os.fsencode(place.path) for place in hits[0].places} == {
        *(name, os.fsencode(pile / "class_0/0.png")),
    }


def test_a_database_that_is_none_is_said_in_one_line(index, pile):
    index.update(pile)
    for ending in ("", "-wal", "-shm"):
        path = f"{index.folder}/photo_index.sqlite{ending}"
        if os.path.exists(path):
            os.remove(path)
    with open(f"{index.folder}/photo_index.sqlite", "wb") as file:
        file.write(b"no database" * 1000)
    with pytest.raises(InputError, match="file is not a database"):
        index.update()


def test_rows_that_were_not_committed_are_overwritten(index, pile):
    index.update(pile / "class_0")
    path = os.path.join(index.folder, "vectors", "1-000000.f32")
    with open(path, "ab") as file:
        file.write(b"\xff" * 5000)
    index.update(pile / "class_1")
    present = index.present()
    assert len(present) == 10
    found = [np.frombuffer(vector, np.float32) for _, vector in present.values()]
    lengths = np.linalg.norm(found, axis=-1)
    np.testing.assert_allclose(lengths, np.sqrt(2), atol=1e-5)


def test_two_writers_are_refused(index, pile):
    from abe_tf.storage.locks import claimed

    index.update(pile)
    with (
        claimed(os.path.join(index.folder, "writer.lock")),
        pytest.raises(InputError, match="One process at a time"),
    ):
        index.update()


def test_codes_that_are_missing_are_made_again(index, pile):
    index.update(pile / "class_0")
    expected = [hit.row for hit in index.search(pile / "class_0/1.jpg")]
    inside = os.path.join(index.folder, "vectors")
    os.remove(os.path.join(inside, "1-000000.i8"))
    # A search does without; the next writer fills the gap.
    assert [hit.row for hit in index.search(pile / "class_0/1.jpg")] == expected
    index.update(pile / "class_1")
    index.update(pile / "class_2")
    with_gap = [hit.row for hit in index.search(pile / "class_0/1.jpg", 15)]
    os.remove(os.path.join(inside, "1-000000.bounds"))
    assert [hit.row for hit in index.search(pile / "class_0/1.jpg", 15)] == with_gap


def test_nothing_is_made_where_there_is_no_model(index, pile, tmp_path):
    empty = tmp_path / "no run"
    empty.mkdir()
    with pytest.raises(InputError):
        index.update(pile, source=SourceConfig(workdir=str(empty)))
    assert not os.path.exists(index.folder)


# Files may not grow beyond so many bytes, as on a full disk: where the first commit
# begins, or within one, among the thumbnails of larger photos.
@pytest.mark.parametrize(("side", "most"), [(8, 5_000), (300, 40_000)])
def test_a_full_disk_loses_nothing(index, pile, side, most):
    index.update(pile / "class_0")
    before = index.present()
    limit = (
        "import resource, signal, runpy, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))\n"
        "runpy.run_module('abe_tf.index', run_name='__main__', alter_sys=True)\n"
    )
    noise = np.random.default_rng(0).integers(0, 256, [side, side, 3], np.uint8)
    (pile / "new").mkdir()
    for number in range(4):
        Image.fromarray(noise + number).save(pile / "new" / f"{number}.png")
    flags = [f"--index={index.folder}", "--batch_size=4", str(pile / "new")]
    result = subprocess.run(
        [sys.executable, "-c", limit, *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 1, result.stdout + result.stderr
    (line,) = result.stderr.splitlines()
    assert "What was committed is kept" in line
    after = index.present()
    assert {path: after[path] for path in before} == before
    index.update(pile / "new")
    assert len(index.present()) == 9
