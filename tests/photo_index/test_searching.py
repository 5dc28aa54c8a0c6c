"""What a search gives: the same kind of thing, in the form that is asked for."""

import base64
import csv
import dataclasses
import io
import json
import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from abe_tf.config.data import MAX_PIXELS
from abe_tf.config.index import SourceConfig
from abe_tf.errors import InputError
from abe_tf.photo_index import model, searching
from abe_tf.photo_index.asking import Asker
from abe_tf.photo_index.contents import BrokenPhotoError
from abe_tf.retrieval.explanation import explain
from tests.helpers.images import PHOTO, save
from tests.photo_index.conftest import Index


@pytest.fixture(scope="module")
def pile(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("searching") / "pile"
    shutil.copytree(photos, folder)
    shutil.copy(folder / "class_0/1.jpg", folder / "class_0/copy of 1.jpg")
    shutil.copy(folder / "class_0/1.jpg", folder / "class_3/another copy.jpg")
    return folder


@pytest.fixture(scope="module")
def made(pile, trained, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("searching") / "index")
    found = Index(folder, SourceConfig(workdir=str(trained[0])))
    found.update(pile)
    return found


def names(hits):
    return [os.path.basename(hit.places[0].path) for hit in hits]


def expected(made, path, wanted=lambda path: True):
    """Contents by ensemble distance in float64, by NumPy."""
    present = made.present()
    learners, dim = 2, 8
    one = np.frombuffer(present[str(path)][1], np.float32).reshape(learners, dim)
    found = {}
    for other, (_, vector) in present.items():
        if wanted(other):
            each = np.frombuffer(vector, np.float32).reshape(learners, dim)
            squares = np.square(each.astype(float) - one.astype(float))
            found[vector] = np.sqrt(squares.sum(-1)).mean()
    return sorted(found.values())


def test_hits_are_those_of_a_scan_in_float64(made, pile):
    for path in (pile / "class_2/3.jpg", pile / "class_7/0.png"):
        hits = made.search(path, 40)
        distances = [hit.distance for hit in hits]
        np.testing.assert_allclose(distances, expected(made, path), atol=1e-12)
        assert hits[0].distance == 0
        for hit in hits:
            assert hit.distance == pytest.approx(
                hit.learner_distances.mean(), abs=1e-12
            )


def test_copies_are_one_hit(made, pile):
    hits = made.search(pile / "class_0/1.jpg", 1)
    assert [os.path.basename(place.path) for place in hits[0].places] == [
        *("1.jpg", "copy of 1.jpg", "another copy.jpg"),
    ]
    hits = made.search(pile / "class_0/1.jpg", 1, label=(" class_3",))
    assert names(hits) == ["another copy.jpg"]


def test_filters(made, pile):
    path = pile / "class_1/1.jpg"
    hits = made.search(path, 40, folder=str(pile / "class_4"))
    assert {os.path.dirname(hit.places[0].path) for hit in hits} == {
        str(pile / "class_4")
    }
    inside = expected(made, path, lambda other: f"{pile}/class_4/" in other)
    np.testing.assert_allclose([hit.distance for hit in hits], inside, atol=1e-12)
    assert len(made.search(path, 40, label=("class_4", "class_5"))) == 10
    assert made.search(path, 40, until="1980-01-01") == []
    assert len(made.search(path, 40, since="1980-01-01")) == 40
    # Another folder whose name begins alike is another folder.
    assert made.search(path, 40, folder=str(pile / "class")) == []


def test_what_is_unlike_comes_last(made, pile):
    path, other = pile / "class_1/1.jpg", pile / "class_6/1.jpg"
    hits = made.search(path, 40, unlike=[other])
    flags = [hit.unlike for hit in hits]
    assert flags == sorted(flags)
    assert any(flags)
    assert not all(flags)
    theirs = dict(zip(names_of(made, other), distances_of(made, other), strict=True))
    for hit in hits:
        assert hit.unlike == (theirs[hit.places[0].path] < hit.distance)
    # They fill up what is asked for, and push nothing out.
    few = made.search(path, 5, unlike=[other])
    assert [hit.row for hit in few] == [hit.row for hit in hits[:5]]


def names_of(made, path):
    return [hit.places[0].path for hit in made.search(path, 40)]


def distances_of(made, path):
    return [hit.distance for hit in made.search(path, 40)]


def test_deleted_rows_are_no_hits(made, pile, tmp_path):
    copy = Index(str(tmp_path / "index"), made.source)
    mine = tmp_path / "pile"
    shutil.copytree(pile, mine)
    copy.update(mine)
    gone = {str(mine / "class_5" / name) for name in ("1.jpg", "2.jpg")}
    for path in gone:
        os.remove(path)
    copy.update()
    hits = copy.search(mine / "class_5/3.jpg", 40)
    assert len(hits) == 38
    assert not gone & {hit.places[0].path for hit in hits}
    path = mine / "class_5/3.jpg"
    np.testing.assert_allclose(
        [hit.distance for hit in hits], expected(copy, path), atol=1e-12
    )


def test_the_graph_finds_nearly_the_same(made):
    made.update(graph=True)
    with searching.moment(made.folder) as now:
        query = now.embedding(7)[np.newaxis]
        asked = searching.FilterConfig()
        exact = now.search(query, query[:0], 10, asked)
        near = now.search(query, query[:0], 10, asked, approximately=True)
        assert [hit.row for hit in exact] == [hit.row for hit in near]
        asked = searching.FilterConfig(label=("class_4",))
        near = now.search(query, query[:0], 10, asked, approximately=True)
        assert [hit.row for hit in near] == [
            hit.row for hit in now.search(query, query[:0], 10, asked)
        ]


def test_a_query_may_be_as_large_as_photos_of_the_index(made, pile, tmp_path):
    index = Index(str(tmp_path / "index"), made.source)
    mine = tmp_path / "pile"
    shutil.copytree(pile / "class_0", mine)
    query = tmp_path / "large.png"
    query.write_bytes(save(PHOTO.resize((100, 100)), "PNG"))
    index.update(mine, max_pixels=9_000)
    with pytest.raises(BrokenPhotoError, match="1 to 9000 pixels"):
        index.search(query)
    # What it may hold by now, it may be asked for; also once less is allowed.
    index.update(max_pixels=10_000)
    index.update(max_pixels=9_000)
    assert index.search(query)


def test_a_damaged_graph_is_told_in_a_line(made):
    made.update(graph=True)
    (path,) = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(made.folder)
        for name in names
        if name.endswith(".json") and "graph" in name
    ]
    with open(path) as file:
        whole = file.read()
    try:
        for text in ("{", "[]", "{}"):
            with open(path, "w") as file:
                file.write(text)
            with searching.moment(made.folder) as now:
                query, asked = now.embedding(7)[np.newaxis], searching.FilterConfig()
                with pytest.raises(InputError, match="Build it again"):
                    now.search(query, query[:0], 10, asked, approximately=True)
    finally:
        with open(path, "w") as file:
            file.write(whole)


def test_rows_behind_the_graph_are_found(made, pile, tmp_path):
    index = Index(str(tmp_path / "index"), made.source)
    mine = tmp_path / "pile"
    shutil.copytree(pile / "class_0", mine / "class_0")
    index.update(mine)
    with pytest.raises(InputError, match="index --graph builds"):
        graph_search(index, mine / "class_0/1.jpg")
    index.update(graph=True)
    shutil.copytree(pile / "class_1", mine / "class_1")
    index.update()
    hits = graph_search(index, mine / "class_1/1.jpg")
    assert names(hits)[0] == "1.jpg"
    assert hits[0].distance == 0
    assert len(hits) == 10


def graph_search(index, path):
    with searching.moment(index.folder) as now:
        row = now.row_of_photo(
            index.rows("SELECT id FROM photo WHERE path = ?", os.fsencode(path))[0][0]
        )
        query = now.embedding(row)[np.newaxis]
        asked = searching.FilterConfig()
        return now.search(query, query[:0], 10, asked, approximately=True)


def test_the_command_line(made, pile, run_command, tmp_path):
    index, path = f"--index={made.folder}", str(pile / "class_2/3.jpg")
    table = run_command("abe_tf.search", index, path, "--top_k=3").stdout.splitlines()
    assert len(table) == 3
    answered = run_command("abe_tf.search", index, path, "--json")
    found = json.loads(answered.stdout)
    assert [hit["rank"] for hit in found] == list(range(1, 11))
    # How sure is said of each hit, and by what on standard error.
    assert "by the labels of 41 photos, 8 kinds" in answered.stderr
    sure = [hit["probability"] for hit in found]
    assert sure == sorted(sure, reverse=True) and 0 < sure[-1] < sure[0] < 1
    told = f"{100 * sure[0]:.1f}"
    assert table[0].split() == ["1", "0.0000", told, "%", "class_2", path]
    bar = 100 * (sure[4] + sure[-1]) / 2
    some = run_command(
        "abe_tf.search", index, path, "--json", f"--precision={bar}", "--kinds=8"
    )
    for hit in json.loads(some.stdout):
        assert hit["probability"] >= bar / 100 - 1e-9
        (same,) = (one for one in found if one["path"] == hit["path"])
        odds = [p / (1 - p) for p in (hit["probability"], same["probability"])]
        # Kinds of as many photos are one in eight; of those there a bit less.
        assert odds[0] > odds[1]
    rows = run_command("abe_tf.search", index, path, "--csv", "--top_k=4").stdout
    rows = list(csv.DictReader(io.StringIO(rows)))
    assert [row["path"] for row in rows] == [hit["path"] for hit in found[:4]]
    paths = run_command("abe_tf.search", index, path, "--paths").stdout.splitlines()
    assert paths == [hit["path"] for hit in found]

    copies, page = tmp_path / "copies", tmp_path / "hits.html"
    to = (f"--copy_to={copies}", f"--html={page}", "--top_k=2")
    run_command("abe_tf.search", index, path, *to)
    assert sorted(os.listdir(copies))[0] == "0001_3.jpg"
    assert (copies / "0001_3.jpg").read_bytes() == (pile / "class_2/3.jpg").read_bytes()
    assert page.read_text().count("data:image/jpeg;base64,") == 2
    # What matches of the query and of each hit, laid over what the network sees.
    maps = re.findall(r"data:image/png;base64,([^\"]+)", page.read_text())
    assert len(maps) == 4
    with Image.open(io.BytesIO(base64.b64decode(maps[0]))) as drawn:
        assert drawn.size == (32, 32)
        assert np.asarray(drawn).std() > 10
    again = run_command("abe_tf.search", index, path, *to, check=False)
    assert again.returncode == 1
    assert "without such files" in again.stderr


def test_a_photo_from_outside_and_a_box(made, pile, run_command, tmp_path):
    index, outside = f"--index={made.folder}", tmp_path / "outside.png"
    with Image.open(pile / "class_5/2.jpg") as photo:
        wide = Image.new("RGB", (3 * photo.width, photo.height), "white")
        wide.paste(photo, (photo.width, 0))
        box = f"--box={photo.width},0,{2 * photo.width},{photo.height}"
    wide.save(outside)
    whole, part = (
        json.loads(
            run_command(
                *("abe_tf.search", index, str(outside), "--json", "--top_k=40", *flags)
            ).stdout
        )
        for flags in ([], [box])
    )
    # The part is the photo itself, but for the resampling of its edges.
    meant = str(pile / "class_5/2.jpg")
    assert part[0]["path"] == meant
    (there,) = (hit["distance"] for hit in whole if hit["path"] == meant)
    assert part[0]["distance"] < there / 2
    both = run_command(
        *("abe_tf.search", index, str(outside), str(pile / "class_1/1.jpg")),
        *(box, "--box=all", "--json"),
    ).stdout
    nearest = {hit["path"]: hit["like"] for hit in json.loads(both)[:2]}
    assert nearest[str(pile / "class_1/1.jpg")] == 1
    firsts = set(nearest)
    assert firsts == {str(pile / "class_5/2.jpg"), str(pile / "class_1/1.jpg")}


def test_why_a_hit_was_found_adds_up_to_its_similarity(made, pile, trained):
    with searching.moment(made.folder) as now:
        asker = Asker(now.about, SourceConfig())
        paths = [pile / "class_0/1.jpg", pile / "class_4/2.jpg"]
        one, other = (path.read_bytes() for path in paths)
        why = explain(asker.places(one), asker.places(other))
        embeddings = [asker.embed(now, content)[0] for content in (one, other)]
        part = explain(asker.places(one, (5, 5, 30, 40)), asker.places(other))
        of_part, _ = asker.embed(now, one, (5, 5, 30, 40))
    cosines = np.einsum("md,md->m", *embeddings)
    np.testing.assert_allclose(why.cosines, cosines, atol=1e-5)
    np.testing.assert_allclose(
        part.cosines, np.einsum("md,md->m", of_part, embeddings[1]), atol=1e-5
    )
    for side in (*why.sides, *part.sides):
        assert side.maps.shape == (2, 4, 4)
    for side in why.sides:
        np.testing.assert_allclose(
            side.maps.sum((1, 2)) + side.bias, cosines, atol=1e-5
        )


def test_an_export_without_places_searches_and_says_that_it_cannot_tell_why(
    made, pile, exported, monkeypatch
):
    source = SourceConfig(model_dir=str(exported[0]))
    found = model.load(source, MAX_PIXELS)
    assert found.places is not None
    older = dataclasses.replace(found, places=None)
    monkeypatch.setattr(model, "load", lambda *_: older)
    with searching.moment(made.folder) as now:
        asker = Asker(now.about, source)
        content = (pile / "class_0/1.jpg").read_bytes()
        with pytest.raises(InputError, match=r"signature parts\. Received"):
            asker.places(content)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "A search needs a photo"),
        (["none.jpg"], "cannot be read: No such file"),
        (["PHOTO", "--box=1,2,3"], "x1,y1,x2,y2"),
        (["PHOTO", "--box=9000,0,9001,1"], "must begin within the image"),
        (["PHOTO", "--box=1,1,2,2", "--box=1,1,2,2"], "once for each IMAGE"),
        (["PHOTO", "--since=yesterday"], "a day as YYYY-MM-DD"),
        (["PHOTO", "--since=2020-01-02", "--until=2020-01-01"], "must not be later"),
        (["PHOTO", "--json", "--csv"], "one form"),
        (["PHOTO", "--top_k=0"], "at least 1"),
        (["PHOTO", "--workdir=nowhere"], "an existing folder"),
    ],
)
def test_bad_questions_are_refused_in_one_line(made, pile, run_command, flags, message):
    flags = [str(pile / "class_0/0.png") if f == "PHOTO" else f for f in flags]
    result = run_command("abe_tf.search", f"--index={made.folder}", *flags, check=False)
    assert result.returncode == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
