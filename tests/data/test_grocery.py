"""The Grocery Store Dataset, read as its repository lays it out."""

import shutil

import pytest

from abe_tf.config.data import DataConfig
from abe_tf.data import datasets, grocery
from abe_tf.errors import InputError

NAMES = ("Golden-Delicious", "Granny-Smith", "Åkerö", "Kiwi")


@pytest.fixture
def clone(photos, tmp_path):
    """Three photos of each of four products, one in each list."""
    folder = tmp_path / "clone" / "dataset"
    folder.mkdir(parents=True)
    head = "Class Name (str),Class ID (int),Coarse Class Name (str)\n"
    rows = "".join(f"{name},{number},Fruit\n" for number, name in enumerate(NAMES))
    (folder / "classes.csv").write_text(head + rows)
    for number, split in enumerate(("train", "val", "test")):
        lines = []
        for label, name in reversed(list(enumerate(NAMES))):
            place = f"{split}/Fruit/{name}/{name}_001.jpg"
            (folder / place).parent.mkdir(parents=True)
            shutil.copy(photos / f"class_{label}/{number + 1}.jpg", folder / place)
            lines.append(f"{place}, {label}, 0\n")
        (folder / f"{split}.txt").write_text("".join(lines))
    return folder.parent


@pytest.mark.parametrize("below", [".", "dataset"])
def test_the_three_lists_are_one_data_set_in_the_order_of_its_numbers(clone, below):
    examples = grocery.load(str(clone / below))
    assert examples.class_names == (
        *("00_Golden-Delicious", "01_Granny-Smith", "02_Åkerö", "03_Kiwi"),
    )
    assert examples.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    splits = [path.split("dataset/")[1].split("/")[0] for path in examples.files]
    assert splits == ["test", "train", "val"] * 4


def test_it_trains_on_the_classes_that_are_asked_for(clone):
    flags = {"train_classes": "0:3", "test_classes": "3:4"}
    config = DataConfig("grocery_store", str(clone), **flags)
    splits = datasets.load(config)
    assert (len(splits.train), len(splits.test)) == (9, 3)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("train.txt", None, "No such file"),
        ("train.txt", "train/Fruit/Kiwi/Kiwi_001.jpg\n", "line 1: a class must be"),
        ("train.txt", "\n\ntrain/a.jpg, 81, 0\n", "line 3: there is no class 81"),
        ("train.txt", "train/a.jpg, 0, 0\n", "without 1, such as .*train/a.jpg"),
        ("classes.csv", "Name,ID\nKiwi,1\n", "line 2: the classes must be in order"),
        ("classes.csv", b"Name,ID\n\xff,0\n", "codec can't decode"),
    ],
)
def test_what_is_no_such_repository_is_refused(clone, name, content, said):
    path = clone / "dataset" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=said):
        grocery.load(str(clone))


def test_a_folder_must_be_given():
    with pytest.raises(InputError, match="needs --data_dir, a folder with the repos"):
        DataConfig("grocery_store").check_paths()
