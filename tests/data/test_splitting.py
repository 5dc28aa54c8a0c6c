"""Any folders of photos: few classes, few photos, the same photo twice."""

import os

import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.data import DataConfig
from abe_tf.data import datasets
from abe_tf.errors import InputError


def make(folder, counts, seed=0):
    rng = np.random.default_rng(seed)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, [4, 4, 3], np.uint8)
            path = folder / name / f"{number}.png"
            path.write_bytes(tf.io.encode_png(pixels).numpy())
    return folder


def load(folder, **flags):
    return datasets.load(DataConfig("image_folder", str(folder), **flags))


def counts(examples):
    return np.unique(examples.labels, return_counts=True)[1].tolist()


@pytest.mark.parametrize(
    ("given", "train", "test"),
    [
        ({"a": 6, "b": 6}, [4, 4], [2, 2]),
        ({"a": 12, "b": 4, "c": 3}, [9, 2, 3], [3, 2]),
    ],
)
def test_below_four_classes_all_train_and_some_photos_test(
    tmp_path, capsys, given, train, test
):
    splits = load(make(tmp_path, given))
    assert splits.known_classes
    assert (counts(splits.train), counts(splits.test)) == (train, test)
    assert not set(splits.train.names) & set(splits.test.names)
    told = capsys.readouterr().err
    assert "held-out photos of known classes" in told
    # The same photos, whenever it is asked.
    assert load(tmp_path).test.names == splits.test.names


def test_of_three_photos_one_is_looked_for_among_those_that_train(tmp_path, capsys):
    splits = load(make(tmp_path, {"a": 3, "b": 3, "c": 2}))
    assert (counts(splits.train), counts(splits.test)) == ([2, 2, 2], [1, 1])
    assert splits.gallery.names == splits.train.names
    assert not set(splits.train.names) & set(splits.test.names)
    assert "looked for among those that train" in capsys.readouterr().err


def test_too_few_photos_for_that_are_refused(tmp_path):
    with pytest.raises(InputError, match="one must have 3 photos"):
        load(make(tmp_path, {"a": 2, "b": 2}))


def test_from_four_classes_on_whole_classes_test(tmp_path):
    splits = load(make(tmp_path, dict.fromkeys("abcd", 2)))
    assert not splits.known_classes
    assert not set(splits.train.labels) & set(splits.test.labels)


def fitted(folder, **flags):
    config = DataConfig("image_folder", str(folder), **flags)
    return datasets.fitted(config, datasets.load(config))


@pytest.mark.parametrize(
    ("given", "flags", "batch", "said"),
    [
        ({"a": 6, "b": 6}, {}, (4, 4), True),
        (dict.fromkeys("abcdef", 3), {}, (3, 3, 3), True),
        (dict.fromkeys("abcdef", 9), {"images_per_class": 2}, (2, 2, 2), True),
        (dict.fromkeys("abcdef", 9), {"classes_per_batch": 2}, (4, 4), False),
        ({str(n): 4 for n in range(50)}, {}, (4,) * 16, False),
    ],
)
def test_batches_follow_the_data(tmp_path, capsys, given, flags, batch, said):
    assert fitted(make(tmp_path, given), **flags).images_per_slot == batch
    assert ("Batches of" in capsys.readouterr().err) == said


def test_small_classes_are_left_out_by_name_where_that_is_asked(tmp_path, capsys):
    make(tmp_path, {"a": 5, "b": 3, "c": 5, "d": 5, "e": 2, "f": 5})
    splits = load(tmp_path, min_images_per_class=4)
    assert (counts(splits.train), counts(splits.test)) == ([5, 5], [5, 5])
    told = capsys.readouterr().err
    assert "--min_images_per_class=4: 2 with 5 images: 'b' (3), 'e' (2)" in told


def test_the_same_photo_in_training_and_test_is_said(tmp_path, capsys):
    make(tmp_path, dict.fromkeys("abcd", 3))
    load(tmp_path)
    assert "same photo" not in capsys.readouterr().err
    content = (tmp_path / "a" / "1.png").read_bytes()
    (tmp_path / "d" / "a copy.png").write_bytes(content)
    # Equal in size and at the end, but for a byte.
    other = bytearray((tmp_path / "b" / "0.png").read_bytes() + bytes(5000))
    (tmp_path / "b" / "0.png").write_bytes(other)
    other[-4500] ^= 1
    (tmp_path / "c" / "0.png").write_bytes(other)
    load(tmp_path)
    told = capsys.readouterr().err
    assert "The same photo, by its content, is in training and test: 1 times" in told
    assert f"'{tmp_path}/a/1.png' and '{tmp_path}/d/a copy.png'" in told


def test_queries_that_find_themselves_or_nobody_are_said(tmp_path, capsys):
    make(tmp_path, {"a": 2, "b": 2, "c": 2, "d": 1})
    content = (tmp_path / "c" / "0.png").read_bytes()
    (tmp_path / "c" / "1.png").write_bytes(content)
    rows = ["path,label,split", "a/0.png,a,train", "a/1.png,a,train"]
    rows += ["b/0.png,b,train", "b/1.png,b,train", "c/0.png,c,query"]
    rows += ["c/1.png,c,gallery", "d/0.png,d,query"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    splits = load(tmp_path, image_list=str(tmp_path / "list.csv"))
    assert len(splits.test) == 1
    told = capsys.readouterr().err
    assert "is a query and in the gallery: 1 times" in told
    assert "queries without an image of their class in the gallery: 1: " in told
    assert "d/0.png'" in told


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_list_may_have_a_spreadsheets_delimiters(tmp_path, delimiter):
    make(tmp_path, dict.fromkeys("abcd", 2))
    rows = [["path", "label"]]
    rows += [[f"{name}/{n}.png", name] for name in "abcd" for n in range(2)]
    text = "\n".join(delimiter.join(row) for row in rows)
    (tmp_path / "list.csv").write_text(text)
    splits = load(tmp_path, image_list=str(tmp_path / "list.csv"))
    assert splits.train.class_names == tuple("abcd")


def test_the_line_of_a_list_is_that_of_the_file(tmp_path):
    make(tmp_path, dict.fromkeys("abcd", 2))
    text = 'sep=;\npath;label\n\na/0.png;"a\nb"\na/0.png;a\n'
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(InputError, match=r"line 6: 'a/0\.png' again"):
        load(tmp_path, image_list=str(tmp_path / "list.csv"))


def test_a_list_that_names_a_pipe_is_refused(tmp_path):
    make(tmp_path, dict.fromkeys("abcd", 2))
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "list.csv").write_text("path,label\na/0.png,a\npipe.jpg,a\n")
    with pytest.raises(InputError, match=r"pipe\.jpg', no regular file"):
        load(tmp_path, image_list=str(tmp_path / "list.csv"))


def test_two_halves_of_the_same_classes_are_one_set(tmp_path, capsys):
    """As Cars-196 is handed on: a folder a class in each of two halves."""
    make(tmp_path / "train", {"AM General": 2, "Acura": 2, "BMW": 3, "Volvo": 2})
    # One of them on another disk, by its last blank.
    make(tmp_path / "test", {"AM General": 3, "Acura ": 2, "BMW": 2, "Volvo": 2}, 1)
    splits = load(tmp_path)
    assert splits.train.class_names == ("AM General", "Acura", "BMW", "Volvo")
    assert (counts(splits.train), counts(splits.test)) == ([5, 4], [5, 4])
    told = capsys.readouterr().err
    assert "are merged" in told
    assert "taken for one: 'Acura', 'Acura '" in told


@pytest.mark.parametrize(
    "given",
    [
        {"train": {"a": 2, "b": 2}, "test": {"c": 2, "d": 2}},
        {"train": {"a": 2, "b": 2}, "val": {"a": 2, "b": 2}, "test": {"b": 2}},
    ],
)
def test_halves_of_other_classes_are_refused(tmp_path, given):
    for half, classes in given.items():
        make(tmp_path / half, classes)
    with pytest.raises(InputError, match="of folders that differ"):
        load(tmp_path)


def test_folders_called_train_and_test_with_photos_are_classes(tmp_path):
    make(tmp_path, {"train": 6, "test": 6})
    assert load(tmp_path).train.class_names == ("test", "train")
