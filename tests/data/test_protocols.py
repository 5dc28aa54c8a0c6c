"""Benchmarks from archive to splits, and what is wrong with an archive in one line."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from abe_tf.config.benchmarks import BENCHMARKS
from abe_tf.config.data import DataConfig
from abe_tf.data import datasets, protocols
from abe_tf.data.examples import all_of
from abe_tf.data.pipeline import Loader, evaluation_batches
from abe_tf.data.pixels.decoding import decode
from abe_tf.data.pixels.preprocessing import Preprocessing
from abe_tf.errors import InputError
from tests.data.builders import layouts

WRITERS = {
    "cars196": layouts.cars_in_one,
    "stanford_online_products": layouts.products,
    "in_shop": layouts.in_shop,
    "omniglot": layouts.omniglot,
}


@pytest.fixture
def folders(tmp_path):
    """Where the archives are, and where TensorFlow Datasets prepares them."""
    (tmp_path / "archives").mkdir()
    return tmp_path / "archives", tmp_path / "tfds"


def load(dataset, folders, **flags):
    archives, prepared = folders
    flags.setdefault("batches", "pairs")
    config = DataConfig(
        dataset=dataset, data_dir=str(prepared), manual_dir=str(archives), **flags
    )
    return datasets.load(config)


def counts(examples):
    return examples.num_classes(), len(examples)


@pytest.fixture
def fetched_birds(monkeypatch, folders):
    """CUB comes through TensorFlow Datasets' own builder, which knows the published
    archives by their checksums; here it is handed small ones of the same layout."""
    archives, _ = folders
    layouts.birds(archives)
    manager = tfds.download.DownloadManager

    def local(self, urls):
        return tf.nest.map_structure(lambda u: archives / _archive(u), urls)

    monkeypatch.setattr(manager, "download", local)
    monkeypatch.setattr(
        manager, "download_and_extract", lambda self, u: self.extract(local(self, u))
    )


def _archive(url):
    return "segmentations.tgz" if "segmentations" in url else "CUB_200_2011.tgz"


@pytest.mark.parametrize("packed", [True, False])
def test_cub_trains_on_the_first_hundred_classes(folders, packed):
    layouts.birds(folders[0], packed)
    (folders[0] / "segmentations.tgz").unlink()
    check_birds(load("cub200_2011", folders, cropped=True))


def test_cub_as_tensorflow_datasets_prepares_it_is_read_too(folders, fetched_birds):
    flags = {"batches": "pairs", "data_dir": str(folders[1]), "cropped": True}
    config = DataConfig(dataset="cub200_2011", download=True, **flags)
    check_birds(datasets.load(config))
    # It is there now, whatever lies elsewhere.
    check_birds(load("cub200_2011", folders, cropped=True))


def check_birds(splits):
    assert sorted(np.unique(splits.train.labels)) == [0, 99]
    assert sorted(np.unique(splits.test.labels)) == [100, 199]
    assert counts(splits.train) == counts(splits.test) == (2, 4)
    np.testing.assert_allclose(
        splits.train.boxes, np.tile([2, 1, 18, 14], [4, 1]), atol=1e-4
    )


def test_cub_lacking_an_archive_says_which(folders):
    with pytest.raises(InputError, match=r"made of .* CUB_200_2011\.tgz"):
        load("cub200_2011", folders)


def test_cars_train_on_the_first_98_classes(folders):
    layouts.cars_in_one(folders[0], [1, 1, 98, 98, 99, 99, 196, 196])
    splits = load("cars196", folders)
    assert sorted(np.unique(splits.train.labels)) == [0, 97]
    assert sorted(np.unique(splits.test.labels)) == [98, 195]
    assert splits.train.boxes is None


def test_in_shop_queries_look_in_the_gallery(folders):
    layouts.in_shop(folders[0], subfolders=True)
    splits = load("in_shop", folders)
    parts = (splits.train, splits.test, splits.gallery)
    assert [counts(part) for part in parts] == [(2, 4), (2, 2), (2, 3)]


def test_in_shop_needs_no_boxes_where_whole_photos_are_used(folders):
    layouts.in_shop(folders[0], with_boxes=False)
    assert counts(load("in_shop", folders).train) == (2, 4)
    with pytest.raises(InputError, match="--cropped needs the boxes"):
        load("in_shop", folders, cropped=True)


def test_products_follow_their_own_files(folders):
    layouts.products(folders[0])
    splits = load("stanford_online_products", folders)
    assert counts(splits.train) == (2, 5)
    assert set(splits.test.labels) == {11318}


def test_omniglot_tests_on_alphabets_never_seen(folders):
    layouts.omniglot(folders[0])
    splits = load("omniglot", folders)
    assert {name.split("/")[0] for name in splits.test.names} == {"Sanskrit"}
    assert counts(splits.train) == (4, 12)


def test_another_number_of_images_than_the_papers_is_said(folders, capsys):
    layouts.omniglot(folders[0])
    load("omniglot", folders)
    told = capsys.readouterr().err
    assert "train has 4 classes and 12 images, the paper's 136 and 2,720" in told
    assert "132 classes are missing and 2,708 images are missing" in told


def test_more_images_than_the_papers_are_not_missing(capsys):
    labels = np.repeat(np.arange(99), 100)
    examples = all_of(labels, labels, tuple(map(str, range(99))), lambda key: key)
    splits = np.full(len(labels), "train")
    protocols._report_counts(
        "cars196", protocols.PROTOCOLS["cars196"], examples, splits
    )
    told = capsys.readouterr().err
    assert "1 classes are too many and 1,846 images are too many" in told


def test_the_papers_counts():
    table = {name: protocols.PROTOCOLS[name].counts for name in BENCHMARKS}
    assert table["cars196"] == {"train": (98, 8054), "test": (98, 8131)}
    assert table["cub200_2011"] == {"train": (100, 5864), "test": (100, 5924)}
    assert table["stanford_online_products"] == {
        "train": (11318, 59551),
        "test": (11316, 60502),
    }
    assert table["in_shop"] == {
        "train": (3997, 25882),
        "query": (3985, 14218),
        "gallery": (3985, 12612),
    }


def test_images_come_back_to_the_bit_and_boxes_are_cut_out(folders):
    layouts.cars_in_one(folders[0], [1, 1, 98, 98, 99, 99, 196, 196])
    splits = load("cars196", folders, cropped=True)
    for key, name in zip(splits.test.keys, splits.test.names, strict=True):
        number = int(name[-10:-4]) - 1
        assert splits.test.read(tf.constant(key)).numpy() == layouts.jpeg(number)
    config = DataConfig(dataset="cars196", cropped=True, image_size=32, resize_size=32)
    loader = Loader(splits.test, Preprocessing.of(config))
    (pixels,) = evaluation_batches(loader, 9)
    left, top, right, bottom = layouts.BOX
    whole = decode(layouts.jpeg(int(splits.test.names[0][-10:-4]) - 1))
    part = whole[top - 1 : bottom, left - 1 : right]
    expected = tf.round(tf.image.resize(part, [32, 32], antialias=True))
    assert np.abs(pixels[0].numpy().astype(int) - expected).max() <= 1


def damage(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def broken_cars(folder):
    layouts.cars_in_one(folder)
    damage(folder / "car_ims.tgz")


def broken_annotations(folder):
    layouts.cars_in_one(folder)
    damage(folder / "cars_annos.mat")


def broken_products(folder):
    layouts.products(folder)
    damage(folder / "Stanford_Online_Products.zip")


def cars_without_a_photo(folder):
    layouts.cars_in_one(folder, without=["car_ims/000002.jpg"])


def cars_with_label_197(folder):
    layouts.cars_in_one(folder, [1, 197])


def birds_without_labels(folder):
    layouts.birds(folder, packed=False)
    (folder / "CUB_200_2011" / "image_class_labels.txt").unlink()


def in_shop_without_a_box(folder):
    layouts.in_shop(folder, without_box=3)


def products_twice(folder):
    layouts.products(folder, packed=False)
    path = folder / "Stanford_Online_Products" / "Ebay_test.txt"
    lines = path.read_text().split("\n")
    path.write_text("\n".join([*lines[:2], lines[1], *lines[2:]]))


def photo_twice(folder):
    names = ["car_ims/000001.jpg", "old/car_ims/000001.jpg"]
    layouts.cars_in_one(folder, [1])
    layouts.pack(folder / "car_ims.tgz", {name: layouts.jpeg(0) for name in names})


@pytest.mark.parametrize(
    ("dataset", "write", "message"),
    [
        ("cars196", lambda folder: None, "car_ims|cars_train"),
        ("cars196", broken_cars, r"car_ims\.tgz"),
        ("cars196", broken_annotations, r"cars_annos\.mat"),
        ("cars196", cars_without_a_photo, r"without 1 of 4, .*car_ims/000002\.jpg"),
        ("cars196", cars_with_label_197, r"197 for 'car_ims/000002\.jpg'"),
        ("cars196", photo_twice, r"'car_ims/000001\.jpg' a second time"),
        ("in_shop", in_shop_without_a_box, r"list_bbox_inshop\.txt' without .*03_1"),
        ("cub200_2011", birds_without_labels, "without image_class_labels.txt"),
        ("stanford_online_products", broken_products, r"Online_Products\.zip"),
        ("stanford_online_products", products_twice, r"Ebay_test\.txt, line 3"),
    ],
)
def test_damage_is_named_and_nothing_half_prepared_stays(
    folders, dataset, write, message
):
    write(folders[0])
    with pytest.raises(InputError, match=message) as caught:
        load(dataset, folders)
    assert "\n" not in str(caught.value)
    left = [path for path in folders[1].rglob("*") if path.is_file()]
    assert left == []
    if dataset in WRITERS:
        shutil.rmtree(folders[0])
        folders[0].mkdir()
        WRITERS[dataset](folders[0])
        with_more = {"batches": "pairs"}
        if dataset == "cars196":
            with_more["max_images_per_class"] = None
            layouts.cars_in_one(folders[0], [1, 1, 98, 98, 99, 99, 196, 196])
        assert len(load(dataset, folders, **with_more).train) > 0


def test_a_benchmark_without_archives_says_what_it_needs(tmp_path):
    config = DataConfig(dataset="in_shop", data_dir=str(tmp_path))
    with pytest.raises(InputError, match="list_eval_partition.txt"):
        datasets.load(config)
    config = DataConfig(dataset="in_shop", data_dir=str(tmp_path), download=True)
    with pytest.raises(InputError, match="cannot be downloaded"):
        datasets.load(config)
