"""What a pile tells of itself: components, copies, groups, labels, how sure."""

import csv
import dataclasses
import os
import re
import shutil

import numpy as np
import pytest
import scipy.sparse.csgraph
from PIL import Image

from abe_tf.config.index import SourceConfig, SureConfig
from abe_tf.errors import InputError
from abe_tf.layout import Layout
from abe_tf.photo_index import searching, vectors
from abe_tf.photo_index.asking import Asker
from abe_tf.photo_index.contents import BrokenPhotoError
from abe_tf.photo_index.pile import components as joining
from abe_tf.photo_index.pile import copies, groups, labels
from abe_tf.photo_index.pile.components import Work, components, largest_square
from abe_tf.photo_index.sureness import Sureness, UnsureError, bound, sureness
from abe_tf.photo_index.vectors import Segment
from abe_tf.retrieval.calibration import Calibration
from tests.photo_index.conftest import Index


def vectors_of(count, learners, dim, seed, classes=25, noise=0.4):
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=[classes, learners, dim]) * dim**-0.5
    x = middles[rng.integers(0, classes, count)]
    x = x + noise * dim**-0.5 * rng.normal(size=x.shape)
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def segments_of(x, size):
    layout = Layout.equal(*x.shape[1:])
    return [
        Segment(first, x[first : first + size], None, None, layout)
        for first in range(0, len(x), size)
    ]


def hanging_together(x, limit):
    """The first of each one's component, by SciPy from distances in float64."""
    each = x.astype(np.float64)
    distances = np.linalg.norm(each[:, None] - each, axis=-1).mean(-1)
    _, names = scipy.sparse.csgraph.connected_components(distances <= limit)
    return np.array([np.flatnonzero(names == name)[0] for name in names])


@pytest.mark.parametrize(("learners", "dim"), [(1, 24), (4, 16), (8, 4)])
def test_components_are_scipys(learners, dim, tmp_path, monkeypatch):
    monkeypatch.setattr(vectors, "SEGMENT_ROWS", 100)
    monkeypatch.setattr(joining, "_ROWS", 64)
    monkeypatch.setattr(joining, "_COLUMNS", 90)
    monkeypatch.setattr(joining, "_WORTH_PROJECTING", 0)
    x = vectors_of(430, learners, dim, seed=learners)
    rows = np.flatnonzero(np.random.default_rng(0).random(430) < 0.8)
    sizes = set()
    for limit in (0.0, 0.2, 0.4, 0.5, 0.6, 1.9):
        work = Work(str(tmp_path), generation=1)
        joined = components(segments_of(x, 100), rows, limit, work)
        np.testing.assert_array_equal(joined, hanging_together(x[rows], limit))
        sizes.add(len(np.unique(joined)))
    # Limits that tell something: from all apart to all in one.
    assert len(sizes) >= 4 and 1 in sizes


def test_squares_of_a_sum_are_bounded():
    rng = np.random.default_rng(0)
    for lengths in ((0.5, 1, 1.5), (0.2, 0.2, 2.6), (1.2, 0.8)):
        each = rng.exponential(0.7, [20_000, len(lengths)])
        each = np.minimum(2 * np.array(lengths), each)
        layout = Layout.weighted([1] * len(lengths), lengths)
        bounds = [largest_square(limit, layout) for limit in each.mean(1)]
        assert np.all(np.square(each).sum(1) <= np.array(bounds) + 1e-9)
    for learners in (1, 3, 8):
        each = np.minimum(2, rng.exponential(0.7, [20_000, learners]))
        limits = each.mean(1)
        layout = Layout.equal(learners, 1)
        bounds = [largest_square(limit, layout) for limit in limits]
        assert np.all(np.square(each).sum(1) <= np.array(bounds) + 1e-9)
    # And no bound is larger than it must be.
    equal, other = Layout.equal(4, 1), Layout.weighted([1, 1, 1], [1, 2, 3])
    assert largest_square(0.75, equal) == pytest.approx(2**2 + 1**2)
    assert largest_square(1.5, other) == pytest.approx(3**2 + 1.5**2)


def test_whoever_is_killed_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(joining, "_ROWS", 50)
    monkeypatch.setattr(joining, "_EVERY", 0.0)
    monkeypatch.setattr(joining, "_WORTH_KEEPING", 0)
    x = vectors_of(400, 4, 8, seed=5)
    segments, rows, work = (
        segments_of(x, 65_536),
        np.arange(400),
        Work(str(tmp_path), 1),
    )
    keep, states = joining._keep, []

    def killed(path, parent, first):
        keep(path, parent, first)
        states.append(first)
        if len(states) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(joining, "_keep", killed)
    with pytest.raises(KeyboardInterrupt):
        components(segments, rows, 0.5, work)
    joined = components(segments, rows, 0.5, work)
    np.testing.assert_array_equal(joined, hanging_together(x, 0.5))
    # None of the rows that were compared is compared again, and what is done is kept.
    assert states == [50, 100, 150, *range(200, 401, 50), 400]
    components(segments, rows, 0.5, work)
    assert len(states) == 9
    # Other rows, another limit, other vectors: another state.
    np.testing.assert_array_equal(
        components(segments, rows[:300], 0.5, work), hanging_together(x[:300], 0.5)
    )


def test_an_index_that_cannot_be_written_is_compared_all_the_same(
    tmp_path, monkeypatch
):
    x = vectors_of(100, 2, 8, seed=6)
    monkeypatch.setattr(joining, "_WORTH_KEEPING", 0)
    nowhere = Work(str(tmp_path / "gone"), 1)
    joined = components(segments_of(x, 65_536), np.arange(100), 0.5, nowhere)
    np.testing.assert_array_equal(joined, hanging_together(x, 0.5))


@pytest.fixture(scope="module")
def pile(photos, tmp_path_factory):
    """Photos with three kinds of copies of one of them."""
    folder = tmp_path_factory.mktemp("pile") / "pile"
    shutil.copytree(photos, folder)
    original = folder / "class_0/0.png"
    picture = Image.open(original)
    shutil.copy(original, folder / "class_1/same bytes.png")
    picture.save(folder / "class_0/same pixels.bmp")
    larger = picture.resize((picture.width * 3, picture.height * 3))
    larger.save(folder / "class_0/larger.jpg", quality=95)
    for number, path in enumerate(sorted(folder.rglob("*.*"))):
        os.utime(path, (1e9 + number, 1e9 + number))
    return folder


@pytest.fixture(scope="module")
def made(pile, trained, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("pile") / "index")
    index = Index(folder, SourceConfig(workdir=str(trained[0])))
    index.update(pile)
    return index


def copies_of(made, limit):
    with searching.moment(made.folder) as now:
        work = Work(made.folder, now.about["generation"], quiet=True)
        found = copies.Copies(now, limit, work)
        sets = list(found.sets())
        assert not found.not_compared
        return sets


def told(copy_set):
    name = os.path.basename
    return (
        name(copy_set.kept.path),
        copy_set.reason,
        {name(copy.place.path): copy.kind for copy in copy_set.copies},
    )


def test_copies_are_of_three_kinds_and_the_best_is_kept(made, pile):
    (exact,) = copies_of(made, limit=0.0)
    # The bitmap has more bytes than the PNG file of the same pixels.
    assert told(exact) == (
        "same pixels.bmp",
        "largest file",
        {"0.png": "pixels", "same bytes.png": "pixels"},
    )
    with searching.moment(made.folder) as now:
        asker = Asker(now.about, SourceConfig())
        limit = copies.copy_distance(now, asker)
    near = next(
        one for one in copies_of(made, max(limit, 0.2)) if told(one)[0] == "larger.jpg"
    )
    _, reason, kinds = told(near)
    assert reason == "most pixels"
    for name in ("0.png", "same bytes.png", "same pixels.bmp"):
        assert kinds[name] == "near"
    distances = [copy.distance for copy in near.copies]
    assert distances == sorted(distances) and distances[-1] <= max(limit, 0.2)


def test_files_of_the_same_bytes_keep_the_oldest(photos, index, tmp_path):
    folder = tmp_path / "pile"
    folder.mkdir()
    for number, name in enumerate(("new.png", "old.png")):
        shutil.copy(photos / "class_0/0.png", folder / name)
        os.utime(folder / name, (2e9 - number, 2e9 - number))
    shutil.copy(photos / "class_1/0.png", folder)
    index.update(folder)
    (one,) = copies_of(index, limit=0.0)
    assert told(one) == ("old.png", "oldest", {"new.png": "bytes"})
    assert sorted(os.listdir(folder)) == ["0.png", "new.png", "old.png"]


def test_duplicates_prints_and_lists(made, pile, run_command, tmp_path):
    output = tmp_path / "copies.csv"
    flags = f"--index={made.folder}", "--max_distance=0", f"--output={output}"
    printed = run_command("abe_tf.duplicates", *flags).stdout
    assert f"keep {pile}/class_0/same pixels.bmp  (largest file)" in printed
    assert "1 sets; of the others 0 have the bytes" in printed
    with open(output, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["keep"], row["kind"]) for row in rows] == [
        *[("yes", ""), ("no", "pixels"), ("no", "pixels")]
    ]
    assert {row["path"] for row in rows} == {
        str(pile / name)
        for name in (
            *("class_0/0.png", "class_0/same pixels.bmp", "class_1/same bytes.png"),
        )
    }


def test_groups_hang_together_and_the_large_fall_apart(made):
    with searching.moment(made.folder) as now:
        rows = now.rows()
        x = vectors.gather(now.segments, rows)
        work = Work(made.folder, 1, quiet=True)
        limit = 0.3
        whole = groups.grouped(now, limit, 1000, work)
        roots = hanging_together(x, limit)
        wanted = sorted(
            (rows[roots == root].tolist() for root in np.unique(roots)), key=len
        )
        members = [sorted(group.rows.tolist()) for group in whole.groups]
        alone = [[row] for row in whole.alone.tolist()]
        assert sorted([*members, *alone]) == sorted(wanted)
        largest = max(map(len, members))
        assert largest > 3 and whole.split == 0
        for group in whole.groups:
            central = now.embedding(group.rows[0]).astype(np.float64)
            each = [now.embedding(row) - central for row in group.rows]
            distances = [np.linalg.norm(one, axis=-1).mean() for one in each]
            np.testing.assert_allclose(group.distances, distances, atol=1e-9)
            assert distances == sorted(distances)
        assert not len(whole.apart)
        small = groups.grouped(now, limit, 3, work)
        assert small.split > 0
        assert small.alone.tolist() == whole.alone.tolist()
        assert max(len(group.rows) for group in small.groups) <= 3
        everyone = [row for group in small.groups for row in group.rows]
        assert sorted([*everyone, *small.alone, *small.apart]) == rows.tolist()


def test_a_photo_of_another_kind_than_its_group_is_odd(made, run_command, tmp_path):
    output = tmp_path / "groups.csv"
    flags = f"--index={made.folder}", "--max_distance=0.001", f"--output={output}"
    printed = run_command("abe_tf.groups", *flags).stdout
    with open(output, newline="") as file:
        rows = list(csv.DictReader(file))
    odd = [os.path.basename(row["path"]) for row in rows if row["odd"] == "yes"]
    assert odd == ["same bytes.png"]
    assert "1 of another kind" in printed or "groups of" in printed
    # Every photo is in the list, once.
    assert sorted(row["path"] for row in rows) == sorted(made.present())
    assert {row["odd"] for row in rows if row["size"] == "1"} == {"alone"}


def guessed(made, known, **flags):
    """Guesses where only some photos are labelled, by the name of the photo."""
    with searching.moment(made.folder) as now:
        all_labels = now.labels_of_rows()
        some = {row: label for row, label in all_labels.items() if row in known(now)}
        now.labels_of_rows = lambda: some
        return all_labels, {one.row: one for one in labels.guesses(now, **flags)}


def test_neighbours_within_a_distance_vote_alike(made):
    def even(now):
        return set(now.rows()[::2].tolist())

    everyone, guesses = guessed(made, even, neighbours=3, sure=0.4)
    with searching.moment(made.folder) as now:
        rows = now.rows()
        assert sorted(guesses) == rows[1::2].tolist()
        for row, guess in guesses.items():
            vector = now.embedding(row).astype(np.float64)
            distances = {
                int(other): np.linalg.norm(
                    now.embedding(other) - vector, axis=-1
                ).mean()
                for other in rows[::2]
            }
            nearest = sorted(distances, key=lambda other: distances[other])[:3]
            votes = [everyone[one] for one in nearest if distances[one] <= 0.4]
            if not votes:
                assert guess.label is None and guess.share == 0
                continue
            counts = {label: votes.count(label) for label in votes}
            assert counts[guess.label] == max(counts.values())
            assert guess.share == pytest.approx(
                counts[guess.label] / len(votes), abs=1e-12
            )
            assert everyone[guess.neighbour] == guess.label
    assert any(guess.label for guess in guesses.values())


def test_only_likely_neighbours_vote_and_one_alone_is_as_sure_as_it_is(made):
    def everyone_but_one(now):
        return set(now.rows()[1:].tolist())

    def two(now):
        return set(now.rows()[:2].tolist())

    # Every neighbour is of the same kind with this probability, wherever it is.
    def flat(probability):
        return Sureness(Calibration((1.0,), (0.0,)), probability, "nothing")

    # However many there are that are unlikely, they are no label.
    _, guesses = guessed(made, everyone_but_one, neighbours=30, sure=flat(0.4))
    (guess,) = guesses.values()
    assert (guess.label, guess.share) == (None, 0)
    assert not labels.is_certain(guess, SureConfig(precision=0.01), flat(0.4))
    _, guesses = guessed(made, two, neighbours=1, sure=flat(0.7))
    for guess in guesses.values():
        assert guess.share == pytest.approx(0.7)
        assert labels.is_certain(guess, SureConfig(precision=69.0), flat(0.7))
        assert not labels.is_certain(guess, SureConfig(), flat(0.7))
        # Of a distance, most must be alike; half is not most.
        half = dataclasses.replace(guess, share=0.5)
        assert labels.is_certain(guess, SureConfig(), 0.3)
        assert not labels.is_certain(half, SureConfig(), 0.3)


def test_labels_are_a_list_that_training_reads(made, run_command, tmp_path, pile):
    output, unsure = tmp_path / "labels.csv", tmp_path / "unsure.csv"
    bare = Index(str(tmp_path / "bare"), made.source)
    listed = tmp_path / "some.csv"
    paths = sorted(str(path) for path in pile.glob("class_*/[0-3].*"))
    lines = [f"{path},{path.split('/')[-2]}" for path in paths]
    listed.write_text("\n".join(["path,label", *lines]) + "\n")
    bare.update(pile, labels=str(listed))
    flags = f"--index={bare.folder}", f"--output={output}", f"--unsure={unsure}"
    told = run_command(
        "abe_tf.label", *flags, "--max_distance=0.1", "--neighbours=3"
    ).stdout
    rows = list(csv.DictReader(output.read_text().splitlines()))
    doubtful = list(csv.DictReader(unsure.read_text().splitlines()))
    assert sorted(row["path"] for row in [*rows, *doubtful]) == sorted(bare.present())
    known = [row for row in rows if row["source"] == "known"]
    # A copy of the same bytes has the kind of its content's first file.
    assert {row["path"]: row["label"] for row in known}.items() >= {
        path: path.split("/")[-2] for path in paths
    }.items()
    new = [row for row in rows if row["source"] == "neighbours"]
    assert new and all(0.5 < float(row["share"]) <= 1 for row in new)
    assert f"{len(new)} more are by their neighbours" in told
    shown = run_command(
        "abe_tf.data",
        *("--dataset=image_folder", f"--image_list={output}"),
        cwd=tmp_path,
    ).stdout
    counts = re.findall(r"^(?:train|validation|test) .*?(\d+) images", shown, re.M)
    assert sum(map(int, counts)) == len(rows)


def test_a_base_rate_is_of_the_labels_or_of_what_is_said(made):
    with searching.moment(made.folder) as now:
        known = sureness(now, None)
        counts = np.array(list(now.labels().values()))
        pairs = counts.sum() * (counts.sum() - 1)
        assert known.base_rate == pytest.approx((counts * (counts - 1)).sum() / pairs)
        assert sureness(now, 50).base_rate == 1 / 50
        limit, _ = bound(now, SureConfig(kinds=50, precision=20.0), 95)
        sure = sureness(now, 50)
        assert sure.probability(limit) >= 0.2 > sure.probability(limit + 1e-3)
        assert bound(now, SureConfig(max_distance=0.3), 95) == (0.3, 0.3)
        with pytest.raises(InputError, match="some distance gives.*99.9999"):
            bound(now, SureConfig(kinds=10**6, precision=99.9999), 95)


def test_an_index_without_calibration_says_how_to_get_one(made):
    with searching.moment(made.folder) as now:
        now.about = {**now.about, "calibration": None}
        with pytest.raises(UnsureError, match=r"--split=validation does it, if the"):
            sureness(now, 10)
        with pytest.raises(InputError, match=r"Or give --max_distance=D"):
            bound(now, SureConfig(precision=95.0), 95)
        now.about = {**now.about, "source": {"model_dir": "m"}}
        with pytest.raises(UnsureError, match="export it again"):
            sureness(now, 10)
        now.about = {**now.about, "source": {"encoder": "mobilenet"}}
        with pytest.raises(UnsureError, match="nobody trained"):
            sureness(now, 10)


def test_labels_of_one_kind_tell_no_base_rate(index, photos, tmp_path):
    index.update(photos / "class_0", labels="none")
    with (
        searching.moment(index.folder) as now,
        pytest.raises(UnsureError, match="Give --kinds=N"),
    ):
        sureness(now, None)


def test_what_is_gone_or_changed_is_named_and_not_judged_by(photos, index, tmp_path):
    folder = tmp_path / "pile"
    folder.mkdir()
    for number in range(4):
        shutil.copy(photos / f"class_{number}/0.png", folder / f"{number}.png")
    with Image.open(folder / "0.png") as picture:
        picture.save(folder / "0.bmp")
    with Image.open(folder / "1.png") as picture:
        picture.save(folder / "1.bmp")
    index.update(folder)
    (folder / "0.bmp").unlink()
    shutil.copy(folder / "3.png", folder / "1.bmp")
    with searching.moment(index.folder) as now:
        work = Work(index.folder, 1, quiet=True)
        found = copies.Copies(now, 0.0, work)
        assert list(found.sets()) == []
        names = sorted(map(os.path.basename, found.not_compared))
        assert names == ["0.bmp", "1.bmp"]
        # Half the size of what it was is no half of what lies there now.
        asker = Asker(now.about, SourceConfig())
        assert copies.copy_distance(now, asker) < 0.5
        for path in folder.iterdir():
            path.unlink()
        with pytest.raises(BrokenPhotoError, match="none of the index's photos"):
            copies.copy_distance(now, asker)


def test_an_index_without_photos_tells_nothing(index, tmp_path, run_command):
    empty = tmp_path / "empty"
    empty.mkdir()
    index.update(empty)
    place, limit = f"--index={index.folder}", "--max_distance=0.5"
    assert "0 sets" in run_command("abe_tf.duplicates", place, limit).stdout
    assert "0 groups" in run_command("abe_tf.groups", place, limit).stdout
    refused = run_command("abe_tf.label", place, limit, check=False)
    assert refused.returncode == 1
    assert "label once some photos have a kind" in refused.stderr
    refused = run_command("abe_tf.duplicates", place, check=False)
    assert refused.returncode == 1
    assert "Give --max_distance=D" in refused.stderr


@pytest.mark.parametrize(
    ("command", "flags", "message"),
    [
        ("label", ("--output=x.csv", "--unsure=./x.csv"), "a file of its own"),
        ("groups", ("--output=/nowhere/x.csv",), "a folder that exists"),
        ("duplicates", ("--output=.",), "must be a file"),
        ("groups", ("--precision=90", "--max_distance=0.3"), "A pair has one bound"),
        ("label", ("--kinds=1",), "--kinds must be at least 2"),
        ("groups", (f"--kinds={10**400}",), "--kinds must be at most"),
        ("groups", ("--max_distance=3",), "--max_distance must be at most 2"),
    ],
)
def test_bad_flags_are_refused_in_one_line(made, run_command, command, flags, message):
    refused = run_command(
        f"abe_tf.{command}", f"--index={made.folder}", *flags, check=False
    )
    assert refused.returncode == 1
    assert message in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_state_that_is_damaged_or_cannot_be_kept_is_said(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(joining, "_WORTH_KEEPING", 0)
    x, rows = vectors_of(100, 2, 8, seed=7), np.arange(100)
    work, expected = Work(str(tmp_path), 1), hanging_together(x, 0.5)
    path = work.path(rows, 0.5)
    (tmp_path / "pile").write_text("no folder")
    joined = components(segments_of(x, 65_536), rows, 0.5, work)
    np.testing.assert_array_equal(joined, expected)
    assert "How far it is cannot be kept" in capsys.readouterr().err
    (tmp_path / "pile").unlink()
    np.savez_compressed(tmp_path / "whole.npz", parent=rows, first=100)
    deflated = bytearray((tmp_path / "whole.npz").read_bytes())
    deflated[70:85] = bytes(15)
    encrypted = bytearray((tmp_path / "whole.npz").read_bytes())
    for place in (6, encrypted.index(b"PK\x01\x02") + 8):
        encrypted[place] |= 1
    for damage in (b"", b"PK\x03\x04 torn", bytes(deflated), bytes(encrypted)):
        os.makedirs(tmp_path / "pile", exist_ok=True)
        with open(path, "wb") as file:
            file.write(damage)
        assert not work.is_done(rows, 0.5)
        joined = components(segments_of(x, 65_536), rows, 0.5, work)
        np.testing.assert_array_equal(joined, expected)
        assert "is damaged" in capsys.readouterr().err
        assert work.is_done(rows, 0.5)
