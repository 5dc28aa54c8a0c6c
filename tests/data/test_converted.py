"""Photos that are converted before training reads them, and where that is kept."""

import os

import numpy as np
import pytest
from PIL import Image

import abe_tf
from abe_tf.config.data import DataConfig
from abe_tf.data import converted, datasets
from abe_tf.data.converted import ConvertedPhotos
from abe_tf.data.examples import from_paths
from abe_tf.data.pipeline import Loader
from abe_tf.data.pixels import conversion
from abe_tf.data.pixels.preprocessing import Preprocessing
from abe_tf.errors import InputError
from tests.helpers.images import by_pillow

PREPROCESSING = Preprocessing(16, 16, random_flip=False)
ENDS = {"WEBP": "webp", "TIFF": "tiff", "AVIF": "avif", "PNG": "png"}


def noise(seed, side=16):
    values = np.random.default_rng(seed).integers(0, 256, [side, side, 3], np.uint8)
    return Image.fromarray(values)


def write(folder, kinds=("WEBP", "TIFF", "AVIF", "PNG"), classes=4):
    for label in range(classes):
        (folder / f"c{label}").mkdir(parents=True)
        for number, kind in enumerate(kinds):
            path = folder / f"c{label}" / f"{number}.{ENDS[kind]}"
            options = {"lossless": True} if kind == "WEBP" else {}
            noise(10 * label + number).save(path, kind, **options)
    return folder


def load(folder, cache, **flags):
    return datasets.load(
        DataConfig("image_folder", str(folder), cache_dir=str(cache), **flags)
    )


def test_training_reads_what_pillow_shows(tmp_path, capsys):
    splits = load(write(tmp_path / "photos"), tmp_path / "cache")
    assert [len(splits.train), len(splits.test)] == [8, 8]
    pixels = Loader(splits.train, PREPROCESSING).pixels(np.arange(8))
    for image, name in zip(pixels, splits.train.names, strict=True):
        with open(name, "rb") as file:
            np.testing.assert_array_equal(image, by_pillow(file.read()))
    # Named as the user has them.
    assert splits.train.names[0].endswith("photos/c0/0.webp")
    assert "Reading 12 of 16 photos through" in capsys.readouterr().err


def test_a_photo_is_converted_once_whatever_it_is_called(tmp_path, monkeypatch):
    write(tmp_path / "photos")
    load(tmp_path / "photos", tmp_path / "cache")
    converted = sorted(os.listdir(tmp_path / "cache"))
    assert sum(name.endswith(".png") for name in converted) == 12
    (tmp_path / "photos" / "c0").rename(tmp_path / "photos" / "a renamed one")

    def never(*_):
        raise AssertionError("it was converted already")

    monkeypatch.setattr("abe_tf.data.converted.as_png", never)
    load(tmp_path / "photos", tmp_path / "cache")
    assert sorted(os.listdir(tmp_path / "cache")) == converted


def examples(folder, names):
    paths = [str(folder / name) for name in names]
    return from_paths(paths, [0] * len(paths), ("a",))


def test_the_oldest_leave_where_there_is_no_room(tmp_path, capsys):
    folder, cache = write(tmp_path / "photos", ("TIFF",)), tmp_path / "cache"
    names = [f"c{label}/0.tiff" for label in range(4)]
    large = ConvertedPhotos(str(cache), 1.0, 10**6)
    large.convert(examples(folder, names))
    size = sum(path.stat().st_size for path in cache.glob("*.png"))
    for age, path in enumerate(sorted(cache.glob("*.png"))):
        os.utime(path, (1000 * age, 1000 * age))
    # What is needed is the newest, however old it was.
    small = ConvertedPhotos(str(cache), 0.6 * size / 1e9, 10**6)
    # As another process, which has read none of them.
    converted._READ.clear()
    used, broken = small.convert(examples(folder, names[:1]))
    assert not broken
    left = sorted(cache.glob("*.png"))
    assert len(left) == 2
    assert str(used.files[0]) in map(str, left)
    assert "Removed the 2 oldest files" in capsys.readouterr().err
    with pytest.raises(InputError, match="--cache_gb must hold the photos"):
        small.convert(examples(folder, names))
    # What this process was given stays, whatever it asks for next.
    small.convert(examples(folder, names[:1]))
    assert all(os.path.exists(path) for path in converted._READ[str(cache)])


def test_what_another_process_reads_is_not_removed(tmp_path, run_command):
    folder, cache = write(tmp_path / "photos", ("TIFF", "WEBP")), tmp_path / "cache"
    names = ["c3/0.tiff", "c3/1.webp"]
    ConvertedPhotos(str(cache), 1.0, 10**6).convert(examples(folder, names))
    size = sum(path.stat().st_size for path in cache.glob("*.png"))
    result = run_command(
        *("abe_tf.data", "--dataset=image_folder", f"--data_dir={folder}"),
        *(f"--cache_dir={cache}", "--train_classes=0:2", "--test_classes=2:3"),
        *(f"--cache_gb={3.5 * size / 1e9}", "--image_size=16"),
        f"--sheet={tmp_path / 'sheet.png'}",
        check=False,
    )
    # Held by this process.
    assert "Others may read from it: nothing is removed" in result.stderr
    assert len(list(cache.glob("*.png"))) == 8


def test_broken_ones_are_named_with_the_reason(tmp_path):
    folder = write(tmp_path / "photos")
    whole = (folder / "c3" / "0.webp").read_bytes()
    (folder / "c3" / "0.webp").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"c3/0\.webp': a WebP file that is broken"):
        load(folder, tmp_path / "cache")
    splits = load(folder, tmp_path / "cache", on_bad_image="skip")
    assert len(splits.test) == 7


def test_a_heic_photo_needs_a_plugin_and_the_message_says_which(tmp_path, monkeypatch):
    folder = write(tmp_path / "photos")
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    (folder / "c0" / "0.heic").write_bytes(heic)
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(InputError) as refused:
        load(folder, tmp_path / "cache")
    assert "c0/0.heic" in str(refused.value)
    assert f"needs a plugin: {conversion.HEIC_PLUGIN}" in str(refused.value)


def test_a_photo_of_too_many_pixels_is_refused_in_every_format(tmp_path):
    folder = write(tmp_path / "photos")
    noise(0, 40).save(folder / "c0" / "9.webp")
    noise(0, 40).save(folder / "c1" / "9.png")
    with pytest.raises(InputError) as refused:
        load(folder, tmp_path / "cache", max_pixels=1000, check="decode")
    for name in ("c0/9.webp", "c1/9.png"):
        assert name in str(refused.value)
    load(folder, tmp_path / "cache", max_pixels=1600, check="decode")


def test_single_photos_are_embedded_in_a_loop_with_one_trace(trained, tmp_path):
    folder = write(tmp_path / "photos")
    model = abe_tf.load(str(trained[0]))
    paths = sorted(folder.rglob("*.*"))
    together = model.embed(paths, batch_size=5)
    alone = [model.embed([path])[0] for path in paths]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    traced = model._files._load._of_bytes, model._files._network
    assert [one.experimental_get_tracing_count() for one in traced] == [1, 1]
    # As evaluation embeds the same photos.
    (folder / "c0" / "0.png").write_bytes(b"no image")
    wrong = r"c0/0\.png': .*no JPEG, PNG.*something else"
    with pytest.raises(InputError, match=wrong) as told:
        model.embed([folder / "c0" / "0.png"])
    assert "leave it out of the paths" in str(told.value)
    assert "--on_bad_image" not in str(told.value)
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(InputError, match="no regular file"):
        model.embed([tmp_path / "pipe.jpg"])
