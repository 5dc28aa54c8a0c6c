"""TensorFlow Datasets' own checks of a builder, on small archives."""

import pathlib
import tempfile

import pytest
import tensorflow_datasets as tfds

from abe_tf.data.builders.cars196 import AbeCars196
from abe_tf.data.builders.cub200_2011 import AbeCub2002011
from abe_tf.data.builders.in_shop import AbeInShop
from abe_tf.data.builders.omniglot import AbeOmniglot
from abe_tf.data.builders.online_products import AbeStanfordOnlineProducts
from tests.data.builders import layouts


class Case:
    """Writes the archives, and hands them to TensorFlow Datasets."""

    @classmethod
    def setUpClass(cls):
        cls.archives = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.archives.cleanup)
        cls.EXAMPLE_DIR = cls.archives.name
        cls.write(pathlib.Path(cls.archives.name))
        super().setUpClass()


class CarsInOneArchiveTest(Case, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = AbeCars196
    SPLITS = {"train": 4, "test": 3}
    write = staticmethod(layouts.cars_in_one)


class CarsInTwoArchivesTest(Case, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = AbeCars196
    SPLITS = {"train": 4, "test": 3}
    write = staticmethod(layouts.cars_in_two)


class BirdsTest(Case, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = AbeCub2002011
    SPLITS = {"train": 4, "test": 4}
    write = staticmethod(layouts.birds)


class InShopTest(Case, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = AbeInShop
    SPLITS = {"train": 4, "query": 2, "gallery": 3}
    write = staticmethod(layouts.in_shop)


class OnlineProductsTest(Case, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = AbeStanfordOnlineProducts
    SPLITS = {"train": 5, "test": 2}
    write = staticmethod(layouts.products)


class OmniglotTest(Case, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = AbeOmniglot
    SPLITS = {"train": 12, "test": 6}
    write = staticmethod(layouts.omniglot)


def prepare(builder, folder, archives):
    settings = tfds.download.DownloadConfig(manual_dir=str(archives))
    made = builder(data_dir=str(folder))
    made.download_and_prepare(download_config=settings)


def records(name, folder, split):
    return {
        example["filename"].decode(): (int(example["label"]), example.get("box"))
        for example in tfds.as_numpy(tfds.load(name, data_dir=str(folder), split=split))
    }


@pytest.mark.parametrize("unpacked", [False, True])
def test_both_layouts_of_cars_say_the_same(tmp_path, unpacked):
    (tmp_path / "cars").mkdir()
    layouts.cars_in_two(tmp_path / "cars", unpacked)
    prepare(AbeCars196, tmp_path / "tfds", tmp_path / "cars")
    train = records("abe_cars196", tmp_path / "tfds", "train")
    assert {name: label for name, (label, _) in train.items()} == {
        "cars_train/00001.jpg": 0,
        "cars_train/00002.jpg": 97,
        "cars_test/00001.jpg": 0,
        "cars_test/00002.jpg": 97,
    }
    test = records("abe_cars196", tmp_path / "tfds", "test")
    assert sorted(label for label, _ in test.values()) == [98, 98, 195]
    left, top, right, bottom = layouts.BOX
    for _, box in test.values():
        assert box.tolist() == [left - 1, top - 1, right, bottom]


@pytest.mark.parametrize(
    ("builder", "write", "name", "split"),
    [
        (AbeCars196, layouts.cars_in_one, "abe_cars196", "train"),
        (AbeInShop, layouts.in_shop, "abe_in_shop", "gallery"),
        (
            AbeStanfordOnlineProducts,
            layouts.products,
            "abe_stanford_online_products",
            "train",
        ),
        (AbeOmniglot, layouts.omniglot, "abe_omniglot", "test"),
    ],
)
def test_unpacked_archives_give_the_same(tmp_path, builder, write, name, split):
    found = []
    for packed in (True, False):
        folder = tmp_path / str(packed)
        folder.mkdir()
        if builder is AbeCars196:
            write(folder, ending=".tgz" if packed else "")
        else:
            write(folder, packed)
        prepare(builder, tmp_path / f"tfds{packed}", folder)
        found.append(records(name, tmp_path / f"tfds{packed}", split))
    packed, unpacked = ({k: v[0] for k, v in part.items()} for part in found)
    assert packed
    assert packed == unpacked
