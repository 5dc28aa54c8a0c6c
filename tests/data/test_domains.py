"""Photos of several places: which train, which test, and batches of each."""

import csv
import dataclasses

import numpy as np
import pytest

from abe_tf.config.data import DataConfig
from abe_tf.data import datasets, samplers
from abe_tf.data.domain_sampling import DomainSampler
from abe_tf.data.sampling import ClassSampler
from abe_tf.errors import InputError
from abe_tf.runs.flags import RunFlags
from tests.data.test_splitting import make

CLASSES = ("a", "b", "c", "d")
PLACES = ("north", "south", "west", "zoo")


def places(folder, classes=CLASSES):
    for seed, place in enumerate(PLACES):
        make(folder / place, dict.fromkeys(classes, 3), seed)
    return folder


def config(folder, **flags):
    return DataConfig("image_folder", str(folder), domains="folder", **flags)


def found(examples):
    names = [examples.class_names[label] for label in examples.labels]
    return set(zip(examples.domains, names, strict=True))


def pairs(domains, classes):
    return {(domain, name) for domain in domains for name in classes}


def test_folders_of_one_name_are_one_class_in_each_domain(tmp_path):
    splits = datasets.load(config(places(tmp_path)))
    assert splits.train.class_names == CLASSES
    assert found(splits.train) == pairs(PLACES, "ab")
    assert found(splits.test) == pairs(PLACES, "cd")
    for name, domain in zip(splits.train.names, splits.train.domains, strict=True):
        assert f"/{domain}/" in name


def test_whole_domains_test_with_the_classes_that_train(tmp_path, capsys):
    splits = datasets.load(
        config(places(tmp_path), test_domains=("zoo",), validation_domains=("west",))
    )
    assert found(splits.train) == pairs(("north", "south"), CLASSES)
    assert found(splits.validation) == pairs(("west",), CLASSES)
    assert found(splits.test) == pairs(("zoo",), CLASSES)
    assert splits.test_domains == ("zoo",) and not splits.known_classes
    assert "Left out" not in capsys.readouterr().err


def test_with_classes_named_neither_domain_nor_class_trains(tmp_path, capsys):
    flags = {
        "train_classes": "0:3",
        "test_classes": "3:4",
        "test_domains": ("zoo", "west"),
    }
    splits = datasets.load(config(places(tmp_path), **flags))
    assert found(splits.train) == pairs(("north", "south"), "abc")
    assert found(splits.test) == pairs(("west", "zoo"), "d")
    # Three classes of two domains, and one class of the two others.
    assert f"test classes elsewhere: {3 * (6 + 2)}." in capsys.readouterr().err


def test_validation_takes_classes_and_domains_that_do_not_train(tmp_path, capsys):
    folder = places(tmp_path, classes="abcdefgh")
    flags = {"validation_classes": 0.5, "train_classes": "0:6"}
    flags |= {"test_domains": ("zoo",), "validation_domains": ("west",)}
    splits = datasets.load(config(folder, **flags))
    validated = {name for _, name in found(splits.validation)}
    assert len(validated) == 3
    assert found(splits.validation) == pairs(("west",), validated)
    trained = set("abcdef") - validated
    assert found(splits.train) == pairs(("north", "south"), trained)
    assert found(splits.test) == pairs(("zoo",), "gh")
    # Three classes in two domains that train, and three in the one that validates.
    assert f"those that validate: {3 * (2 * 3 + 3)}." in capsys.readouterr().err


def listed(folder, **columns):
    make(folder, dict.fromkeys(CLASSES, 4))
    path = folder / "photos.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", *columns])
        for row, (name, number) in enumerate((n, i) for n in CLASSES for i in range(4)):
            values = [column[row % len(column)] for column in columns.values()]
            writer.writerow([f"{name}/{number}.png", name, *values])
    return DataConfig("image_folder", image_list=str(path))


def test_a_list_says_domain_and_camera(tmp_path):
    data = listed(tmp_path, domain=["x", "y"], camera=["1", "2", "3", "4"])
    train = datasets.load(data).train
    assert train.domains.tolist() == ["x", "y"] * 4
    assert train.cameras.tolist() == ["1", "2", "3", "4"] * 2
    assert train.where(train.domains == "y").cameras.tolist() == ["2", "4"] * 2


def test_what_differs_in_what_cannot_be_seen_is_one_and_said(tmp_path, capsys):
    make(tmp_path / "north", {"a": 3, "b": 3, "c": 3, "d": 3})
    make(tmp_path / "south", {"a ": 3, "b": 3, "c": 3, "d": 3}, 1)
    assert datasets.load(config(tmp_path)).train.class_names == CLASSES
    told = capsys.readouterr().err
    assert "These class folders differ only" in told
    assert "taken for one: 'a', 'a '" in told
    data = listed(tmp_path / "list", domain=["x", "y", "x ", "y"])
    assert set(datasets.load(data).train.domains) == {"x", "y"}
    told = capsys.readouterr().err
    assert "These values of domain differ only" in told
    assert "taken for one: 'x', 'x '" in told


def test_a_blank_domain_is_refused_where_it_is_needed(tmp_path):
    data = listed(tmp_path, domain=["x", " "], camera=["", "a"])
    train = datasets.load(data).train
    assert train.domains.tolist() == ["x", ""] * 4
    assert train.cameras.tolist() == ["", "a"] * 4
    with pytest.raises(InputError, match=r"for each photo. Received: 8 without, .*1.p"):
        datasets.load(dataclasses.replace(data, test_domains=("x",)))


def test_so_many_of_a_class_come_from_all_domains(tmp_path):
    data = config(places(tmp_path), max_images_per_class=5)
    train = datasets.load(data).train
    for label in (0, 1):
        _, counts = np.unique(train.domains[train.labels == label], return_counts=True)
        assert sorted(counts) == [1, 1, 1, 2]


def test_names_may_have_commas_and_blanks(tmp_path):
    folder = places(tmp_path)
    (folder / "zoo").rename(folder / "Köln,  Süd")
    flags = RunFlags(data=config(folder)).changed({"test_domains": '"Köln, Süd",west'})
    assert flags.data.test_domains == ("Köln, Süd", "west")
    assert RunFlags.parse(flags.text()) == flags
    assert found(datasets.load(flags.data).train) == pairs(("north", "south"), CLASSES)


def test_a_link_up_brings_no_other_domain(tmp_path):
    folder = places(tmp_path)
    (folder / "north" / "a" / "up").symlink_to(folder)
    splits = datasets.load(config(folder, test_domains=("zoo",)))
    assert len(splits.train) == 3 * 4 * 3 and len(splits.test) == 4 * 3


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"test_domains": ("zo",)}, "Received: 'zo'. There are 4; the nearest: zoo"),
        ({"validation_domains": ("sea",)}, "--validation_domains must name domains"),
        (
            {"test_domains": ("zoo",), "validation_domains": ("zoo",)},
            "must not share a domain. Received: zoo",
        ),
        (
            {"test_domains": PLACES},
            "There must be training images",
        ),
    ],
)
def test_domains_that_there_are_not_are_refused(tmp_path, flags, says):
    with pytest.raises(InputError, match=says):
        datasets.load(config(places(tmp_path), **flags))


@pytest.mark.parametrize(
    "flags", [{"test_domains": ("x",)}, {"batches": "domains"}], ids=str
)
def test_photos_without_domains_are_told(tmp_path, flags):
    make(tmp_path, dict.fromkeys(CLASSES, 3))
    data = DataConfig("image_folder", str(tmp_path), **flags)
    with pytest.raises(InputError, match=r"needs photos with domains"):
        datasets.fitted(data, datasets.load(data))


def test_one_domain_is_too_few(tmp_path):
    make(tmp_path / "north", {"a": 2, "b": 2})
    with pytest.raises(InputError, match="two at least"):
        datasets.load(config(tmp_path))


def test_batches_follow_the_domains(tmp_path):
    data = config(places(tmp_path), batches="domains", test_domains=("zoo",))
    splits = datasets.load(data)
    fitted = datasets.fitted(data, splits)
    assert (fitted.domains_per_batch, fitted.classes_per_batch) == (3, 4)
    sampler = samplers.create(fitted, splits.train, 0)
    assert sampler.batch_size == fitted.batch_size == 3 * 4 * 4
    batch = splits.train.domains[sampler.batch(0)].reshape(3, 16)
    assert [len(set(domain)) for domain in batch] == [1, 1, 1]


def drawn(seed, domains=5, classes=7, count=700):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    return labels, rng.integers(0, domains, count).astype(str)


@pytest.mark.parametrize("seed", range(3))
def test_a_batch_has_d_domains_of_p_classes_of_k_images(seed):
    labels, domains = drawn(seed)
    sampler = DomainSampler(labels, domains, 2, 3, 4, seed)
    orders = [set(), set(), set()]
    for number in range(6):
        batch = sampler.batch(number)
        for part in batch.reshape(2, 12):
            assert len(set(domains[part])) == 1
            groups = labels[part].reshape(3, 4)
            assert all(len(set(group)) == 1 for group in groups)
            assert len(set(groups[:, 0])) == 3
            assert len(set(part)) == 12
        # Two batches an epoch, of four of the five domains.
        orders[number // 2] |= set(domains[batch])
    assert [len(order) for order in orders] == [4, 4, 4]
    np.testing.assert_array_equal(
        DomainSampler(labels, domains, 2, 3, 4, seed).batch(5), sampler.batch(5)
    )
    other = DomainSampler(labels, domains, 2, 3, 4, seed + 1)
    assert np.any(other.batch(0) != sampler.batch(0))


def test_a_class_too_small_gives_its_images_again():
    labels = np.array([0, 0, 1, 1, 1, 0, 1, 1])
    domains = np.array(["x"] * 5 + ["y"] * 3)
    sampler = DomainSampler(labels, domains, 2, 2, 3, 0)
    # In x the first, in y both.
    assert sampler.num_small_classes == 3
    batch = sampler.batch(0)
    counts = {
        place: set(batch[(labels[batch] == label) & (domains[batch] == domain)])
        for place, label, domain in [("x0", 0, "x"), ("x1", 1, "x"), ("y0", 0, "y")]
    }
    assert counts == {"x0": {0, 1}, "x1": {2, 3, 4}, "y0": {5}}


def test_too_few_domains_or_classes_are_refused():
    labels, domains = drawn(0, domains=2, classes=3)
    with pytest.raises(InputError, match=r"domains that train. Received: 3, with 2"):
        DomainSampler(labels, domains, 3, 2, 2, 0)
    with pytest.raises(InputError, match=r"Received: 4; 0 has 3"):
        DomainSampler(labels, domains, 2, 4, 2, 0)


def test_batches_without_domains_are_what_they_were():
    """Of this seed, as an earlier revision drew them."""
    sampler = ClassSampler(np.repeat(np.arange(4), 3), [2, 2], 7)
    assert sampler.batch(0).tolist() == [0, 2, 7, 8]
    assert sampler.batch(3).tolist() == [9, 11, 5, 4]
