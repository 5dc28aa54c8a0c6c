import os
import re
import unicodedata

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from abe_tf.config.data import DataConfig
from abe_tf.data import datasets
from abe_tf.data.pipeline import Loader, evaluation_batches, training_batches
from abe_tf.data.pixels import kinds
from abe_tf.data.pixels.preprocessing import Preprocessing
from abe_tf.data.sampling import ClassSampler
from abe_tf.data.unreadable import unreadable_images_named
from abe_tf.errors import InputError
from tests.helpers.images import save, without_end


def load(folder, **kwargs):
    small = {"classes_per_batch": 2, "images_per_class": 2}
    if len([path for path in folder.iterdir() if path.is_dir()]) < 4:
        # Otherwise photos and not classes would test.
        small["train_classes"] = "0:1"
        small["classes_per_batch"] = None
    return datasets.load(DataConfig("image_folder", str(folder), **small | kwargs))


def classes(examples):
    return sorted({int(label) for label in examples.labels})


def make(folder, counts):
    for name, count in counts.items():
        (folder / name).mkdir()
        for number in range(count):
            path = folder / name / f"{number}.png"
            path.write_bytes(tf.io.encode_png(np.zeros([4, 4, 3], np.uint8)).numpy())
    return folder


def test_the_first_half_of_the_sorted_classes_trains(photos):
    splits = load(photos)
    assert classes(splits.train) == [0, 1, 2, 3]
    assert classes(splits.test) == [4, 5, 6, 7]
    assert len(splits.validation) == 0
    assert splits.train.class_names[:2] == ("class_0", "class_1")
    assert all(
        f"class_{label}/" in name
        for name, label in zip(splits.test.names, splits.test.labels, strict=True)
    )


@pytest.mark.parametrize(
    ("flags", "train", "test"),
    [
        ({"train_classes": "1:3"}, [1, 2], [3, 4, 5, 6, 7]),
        ({"test_classes": "6:8"}, [0, 1, 2, 3, 4, 5], [6, 7]),
        ({"train_classes": "4:8", "test_classes": "0:2"}, [4, 5, 6, 7], [0, 1]),
    ],
)
def test_ranges_of_classes(photos, flags, train, test):
    splits = load(photos, **flags)
    assert (classes(splits.train), classes(splits.test)) == (train, test)


@pytest.mark.parametrize("share", [0.1, 0.34, 0.5])
def test_validation_classes_are_training_classes_held_out(photos, share):
    splits = load(photos, train_classes="0:6", validation_classes=share)
    held_out = classes(splits.validation)
    assert len(held_out) == max(2, round(6 * share))
    assert sorted(classes(splits.train) + held_out) == list(range(6))


def test_the_first_images_of_a_class(photos):
    splits = load(photos, max_images_per_class=2)
    assert set(np.unique(splits.train.labels, return_counts=True)[1]) == {2}
    assert all(name.endswith(("0.png", "1.jpg")) for name in splits.train.names)


def test_other_files_and_hidden_folders_are_left_out(tmp_path):
    make(tmp_path, {"a": 2, "b": 2, ".cache": 1})
    (tmp_path / "README.md").write_text("photos")
    (tmp_path / "a" / "notes.txt").write_text("notes")
    splits = load(tmp_path)
    assert splits.train.class_names == ("a", "b")
    assert len(splits.train) == 2


def test_photos_are_told_by_content_to_the_bottom_of_a_class_folder(tmp_path, capsys):
    make(tmp_path, {"a": 2, "b": 2})
    png = (tmp_path / "a" / "0.png").read_bytes()
    jpeg = tf.io.encode_jpeg(np.zeros([4, 4, 3], np.uint8)).numpy()
    for name, content in {
        "photo.jfif": jpeg,
        "photo.jpe": jpeg,
        "photo": png,
        "2024/May/deep.PNG": png,
        "._0.png": b"\0\5\26\7",
        ".thumbs/0.png": png,
        "a.jxl": b"\xff\x0a\0\0",
        "called_a_photo.jpg": b"\0\0\0\x0cJXL \r\n\x87\n",
        "notes.txt": b"BM is no picture",
    }.items():
        path = tmp_path / "a" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "loose.png").write_bytes(png)
    train = load(tmp_path).train
    assert [name.removeprefix(f"{tmp_path}/a/") for name in train.names] == [
        *("0.png", "1.png", "photo", "photo.jfif", "photo.jpe", "2024/May/deep.PNG")
    ]
    told = capsys.readouterr().err
    for line in (
        "hidden: 2: 'a/._0.png', 'a/.thumbs'",
        "JPEG XL, a format that is not read: 2: 'a/a.jxl', 'a/called_a_photo.jpg'",
        "no photos: 1: 'a/notes.txt'",
        "in no class folder: 1: 'loose.png'",
    ):
        assert f"Left out in {tmp_path}, {line}\n" in told


def test_class_folders_that_differ_in_what_cannot_be_seen_are_one(tmp_path, capsys):
    composed, decomposed = (
        unicodedata.normalize(form, "Caf\u00e9") for form in ("NFC", "NFD")
    )
    make(tmp_path, {"b": 2, "b ": 2, composed: 2, decomposed: 3, "a\nb": 2})
    splits = load(tmp_path, train_classes="0:1", classes_per_batch=None)
    assert splits.train.class_names == (composed, "a b", "b")
    assert [len(splits.train), len(splits.test)] == [5, 6]
    told = capsys.readouterr().err
    assert "taken for one: 'b', 'b '" in told
    assert told.count("taken for one") == 2


def test_a_link_in_a_circle_ends(tmp_path, capsys):
    make(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a")
    assert len(load(tmp_path).train) == 2
    assert "seen already: 1: 'a/again'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"a": 2}, "two at least"),
        ({"a": 2, "b": 0}, "two at least"),
        ({"a": 2, "b": 1}, "There must be test images"),
        ({"a": 1, "b": 2}, "There must be training images"),
    ],
)
def test_folders_that_cannot_be_learnt_from_are_refused(tmp_path, counts, message):
    with pytest.raises(InputError, match=message):
        load(make(tmp_path, counts))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"train_classes": "0:9"}, "the data set's 8 classes"),
        ({"train_classes": "0:8"}, "leave some for the other"),
        ({"train_classes": "0:4", "validation_classes": 0.9}, "leave two training"),
    ],
)
def test_ranges_beyond_the_data_are_refused(photos, flags, message):
    with pytest.raises(InputError, match=message):
        load(photos, **flags)


def test_classes_of_one_image_and_of_none_are_left_out_by_name(tmp_path, capsys):
    make(tmp_path, {"a": 2, "b": 1, "c": 0, "d": 2, "e": 2, "f": 1})
    splits = load(tmp_path)
    assert splits.train.class_names == ("a", "b", "d", "e", "f")
    assert (classes(splits.train), classes(splits.test)) == ([0], [2, 3])
    told = capsys.readouterr().err
    assert re.search(r"only image of a training class.*: 1: '\S*b/0\.png'", told)
    assert re.search(r"only image of a test class.*: 1: '\S*f/0\.png'", told)
    assert "folders without a photo: 1: 'c'" in told


PREPROCESSING = Preprocessing(28, 32, random_flip=True)


def batches(examples, first, end, seed=3, cache="none"):
    sampler = ClassSampler(examples.labels, [2] * 3, seed)
    loader = Loader(examples, PREPROCESSING, cache)
    dataset = training_batches(loader, sampler, seed, first, end)
    return [(pixels.numpy(), labels.numpy()) for pixels, labels in dataset]


def test_a_resumed_run_sees_the_very_batches_of_an_uninterrupted_one(photos):
    train = load(photos).train
    whole, resumed = batches(train, 0, 6), batches(train, 4, 6)
    assert len(resumed) == 2
    for (pixels, labels), (pixels_again, labels_again) in zip(
        whole[4:], resumed, strict=True
    ):
        np.testing.assert_array_equal(pixels, pixels_again)
        np.testing.assert_array_equal(labels, labels_again)
    assert not np.array_equal(whole[0][0], batches(train, 0, 1, seed=4)[0][0])


def test_pixels_and_labels_belong_together(photos):
    train = load(photos).train
    evaluated = np.concatenate(
        list(evaluation_batches(Loader(train, PREPROCESSING), 7))
    )
    assert len(evaluated) == len(train)
    means = {
        label: evaluated[train.labels == label].mean(axis=(0, 1, 2))
        for label in classes(train)
    }
    for pixels, labels in batches(train, 0, 5):
        for image, label in zip(pixels, labels, strict=True):
            gaps = {k: np.abs(image.mean((0, 1)) - v).sum() for k, v in means.items()}
            assert min(gaps, key=gaps.get) == label


@pytest.mark.parametrize(
    ("length", "reason"),
    [
        (30, r"Invalid PNG[^{]*"),
        (0, r"\[no JPEG, PNG, GIF or BMP file but an empty file\]"),
    ],
)
def test_a_broken_image_is_named_with_the_reason(tmp_path, length, reason):
    make(tmp_path, {"a": 2, "b": 2})
    message = rf"a/1\.png': {reason}\. Repair or remove it"
    loader = Loader(load(tmp_path).train, PREPROCESSING)
    broken = tmp_path / "a" / "1.png"
    broken.write_bytes(broken.read_bytes()[:length])
    with (
        pytest.raises(InputError, match=message),
        unreadable_images_named(loader),
    ):
        list(evaluation_batches(loader, 2))
    # A look at its ends finds it too, before the first step.
    with pytest.raises(InputError, match=message):
        load(tmp_path)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (["c/1.png"], "Received: '"),
        (["a/0.png", "c/0.png"], "Received: 2 that are not"),
    ],
)
def test_broken_images_of_every_split_are_named_before_the_first_step(
    tmp_path, broken, message
):
    make(tmp_path, {"a": 2, "b": 2, "c": 2, "d": 2})
    for name in broken:
        whole = (tmp_path / name).read_bytes()
        # Whole at both ends: only decoding shows it.
        (tmp_path / name).write_bytes(whole[:40] + bytes(8) + whole[48:])
    assert len(load(tmp_path).train) == 4
    with pytest.raises(InputError, match=message) as refused:
        load(tmp_path, check="decode")
    assert all(name in str(refused.value) for name in broken)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_truncated_files_are_doubted_by_their_ends(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 256, [40, 50, 3], np.uint8)
    path = tmp_path / "photo"
    Image.fromarray(noise).save(path, kind)
    whole = path.read_bytes()
    assert kinds.looks_whole(str(path))
    lengths = range(60, len(whole) - 20, 7)
    doubted = 0
    for length in lengths:
        path.write_bytes(whole[:length])
        doubted += not kinds.looks_whole(str(path))
    # By chance a part may end as a whole does: one in some hundreds.
    assert doubted > 0.98 * len(lengths)


def test_a_class_keeps_its_split_whatever_its_photos_are(tmp_path):
    make(tmp_path, dict.fromkeys("abcdefghij", 2))
    flags = {"train_classes": "0:8", "validation_classes": 0.5, "on_bad_image": "skip"}
    before = classes(load(tmp_path, **flags).validation)
    for path in (tmp_path / "a").iterdir():
        path.write_bytes(b"broken")
    assert classes(load(tmp_path, **flags).validation) == before


def test_classes_come_in_the_order_of_their_folders_names(tmp_path):
    """As older runs counted them."""
    names = [
        unicodedata.normalize("NFD", name) for name in ("eau", "\u00e9cole", "zoo")
    ]
    make(tmp_path, dict.fromkeys([*names, " last"], 2))
    found = load(tmp_path).train.class_names
    assert found == ("last", "eau", "\u00e9cole", "zoo")


def test_a_photo_that_cannot_be_opened_is_a_broken_one(tmp_path, capsys):
    make(tmp_path, {"a": 3, "b": 3})
    (tmp_path / "a" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "a" / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "a" / "pipe.jpg")
    (tmp_path / "b" / "up").symlink_to("..")
    with pytest.raises(InputError, match=r"a/gone\.jpg"):
        load(tmp_path)
    splits = load(tmp_path, on_bad_image="skip")
    assert [len(splits.train), len(splits.test)] == [3, 3]
    told = capsys.readouterr().err
    assert "no regular files: 1: 'a/pipe.jpg'" in told
    assert "seen already: 1: 'b/up'" in told
    assert "'a/circle'" in told


def test_jpegs_without_their_end_are_kept_named_and_counted(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).mkdir()
        for number in range(4):
            pixels = rng.integers(0, 256, [20, 30, 3], np.uint8)
            file = tmp_path / name / f"{number}.jpg"
            file.write_bytes(save(Image.fromarray(pixels), "JPEG"))
    # A small picture within, as cameras put one, has an end of its own.
    segment = b"\xff\xe1" + (8).to_bytes(2, "big") + b"\0\0\0\0\xff\xd9"
    first, second = tmp_path / "a" / "1.jpg", tmp_path / "b" / "2.jpg"
    first.write_bytes(without_end(first.read_bytes()))
    cut = without_end(second.read_bytes())
    second.write_bytes(cut[:2] + segment + cut[2:])
    splits = load(tmp_path)
    assert len(splits.train) + len(splits.test) == 16
    told = capsys.readouterr().err
    assert "end marker, read as viewers show them: 2: " in told
    assert "a/1.jpg'" in told
    assert "b/2.jpg'" in told


@pytest.mark.parametrize(
    "kind",
    [
        *(tf.errors.ResourceExhaustedError, tf.errors.UnavailableError),
        *(tf.errors.AbortedError, tf.errors.CancelledError),
    ],
)
def test_what_no_image_is_to_blame_for_is_not_looked_for_among_images(
    photos, monkeypatch, kind
):
    loader = Loader(load(photos).train, PREPROCESSING)
    monkeypatch.setattr(loader, "traced_for_evaluation", None)  # looking would fail
    with (
        pytest.raises(kind),
        unreadable_images_named(loader),
    ):
        raise kind(None, None, "out of memory")


def test_the_batch_that_was_due_is_looked_at_first(tmp_path, capsys):
    make(tmp_path, {"a": 3, "b": 3})
    loader = Loader(load(tmp_path).train, PREPROCESSING)
    for number in (0, 2):
        (tmp_path / "a" / f"{number}.png").write_bytes(b"")
    error = tf.errors.InvalidArgumentError(None, None, "somewhere")
    with (
        pytest.raises(InputError, match=r"a/2\.png"),
        unreadable_images_named(loader, lambda: [1, 2]),
    ):
        raise error
    assert "Looking" not in capsys.readouterr().out
    with pytest.raises(InputError, match=r"a/0\.png"), unreadable_images_named(loader):
        raise error
    assert (
        "Looking for the image that cannot be read among 3" in capsys.readouterr().out
    )


@pytest.mark.parametrize("cache", ["encoded", "decoded"])
def test_a_cache_changes_nothing_but_where_images_come_from(photos, cache):
    train = load(photos).train
    for (pixels, labels), (cached, cached_labels) in zip(
        batches(train, 0, 3), batches(train, 0, 3, cache=cache), strict=True
    ):
        np.testing.assert_array_equal(labels, cached_labels)
        assert np.abs(pixels.astype(int) - cached).max() <= (cache == "decoded")


def test_bad_images_are_left_out_by_name(photos, tmp_path, capsys):
    make(tmp_path, {"a": 4, "b": 3, "c": 3, "d": 3})
    (tmp_path / "a" / "2.png").write_bytes(b"no image")
    (tmp_path / "c" / "0.png").write_bytes(b"")
    splits = load(tmp_path, on_bad_image="skip")
    assert len(splits.train) == 6
    assert len(splits.test) == 5
    told = capsys.readouterr().err
    assert "Left out 2 of 13 images" in told
    assert "a/2.png" in told
    assert "c/0.png" in told


ONE_PAIR = {"batches": "pairs", "positive_pairs": 1, "negative_pairs": 0}


def test_training_classes_of_one_image_go_with_pairs_only(tmp_path):
    make(tmp_path, {"a": 1, "b": 2, "c": 2, "d": 2})
    splits = load(tmp_path, train_classes="0:2", **ONE_PAIR)
    assert classes(splits.train) == [0, 1]


def write_list(folder, rows, header="path,label,split,x1,y1,x2,y2"):
    path = folder / "list.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


def load_list(folder, path, **kwargs):
    return datasets.load(
        DataConfig("image_folder", str(folder), image_list=path, **kwargs)
    )


ROWS = [
    "b/0.png,b,train,0,0,2,2",
    "a/0.png,a,train,1,1,4,3",
    "a/1.png,a,train,0,0,4,4",
    "b/1.png,b,train,0,0,1,1",
    "c/0.png,c,query,0,0,2,2",
    "c/1.png,c,gallery,0,0,2,2",
    "d/0.png,d,gallery,0,0,2,2",
]


def test_a_list_names_images_splits_and_boxes(tmp_path):
    make(tmp_path, {"a": 2, "b": 2, "c": 2, "d": 1})
    splits = load_list(tmp_path, write_list(tmp_path, ROWS), cropped=True)
    assert [name[-7:] for name in splits.train.names] == [
        *("a/0.png", "a/1.png", "b/0.png", "b/1.png")
    ]
    assert splits.train.boxes[0].tolist() == [1, 1, 4, 3]
    assert [len(part) for part in (splits.test, splits.gallery)] == [1, 2]
    assert splits.gallery.class_names == ("a", "b", "c", "d")
    uncropped = load_list(tmp_path, write_list(tmp_path, ROWS))
    assert uncropped.train.boxes is None


def test_labels_that_differ_in_what_cannot_be_seen_are_one(tmp_path, capsys):
    make(tmp_path, {"a": 2, "b": 2, "c": 2, "d": 1})
    rows = [row.replace(",b,train,0,0,1,1", ", b ,train,0,0,1,1") for row in ROWS]
    splits = load_list(tmp_path, write_list(tmp_path, rows))
    assert splits.train.class_names == ("b", "a", "c", "d")
    assert "taken for one: ' b ', 'b'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("./a/0.png,a,train,0,0,2,2", "each path once"),
        ("a/0.png,a,train,0,0,2,2", "each path once"),
        ("c/2.png,,train,0,0,2,2", "a path and a label"),
        ("c/2.png,c,training,0,0,2,2", "one of train, test, query, gallery"),
        ("c/2.png,c,train,2,0,2,2", "x1 < x2"),
        ("c/2.png,c,train,2,0,x,2", "x1 < x2"),
        ("c/2.png,a,test,0,0,2,2", "must not share a class"),
    ],
)
def test_a_list_with_mistakes_is_refused(tmp_path, row, message):
    make(tmp_path, {"a": 2, "b": 2, "c": 3, "d": 1, "e": 3})
    with pytest.raises(InputError, match=message):
        load_list(tmp_path, write_list(tmp_path, [*ROWS, row]), cropped=True)


def test_a_list_without_a_column_is_refused(tmp_path):
    path = write_list(tmp_path, ["a/0.png"], "path")
    with pytest.raises(InputError, match="without label"):
        load_list(tmp_path, path)
