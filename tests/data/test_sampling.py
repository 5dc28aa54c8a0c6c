import numpy as np
import pytest

from abe_tf.data.sampling import ClassSampler, UniformSampler
from abe_tf.errors import InputError

LABELS = np.repeat(np.arange(10), [4, 5, 6, 7, 8, 9, 10, 11, 12, 13])


@pytest.mark.parametrize("seed", range(3))
def test_a_batch_has_p_classes_of_k_different_images(seed):
    sampler = ClassSampler(LABELS, [4] * 3, seed)
    for number in range(50):
        batch = sampler.batch(number)
        classes, counts = np.unique(LABELS[batch], return_counts=True)
        assert len(np.unique(batch)) == 12
        assert len(classes) == 3
        assert set(counts) == {4}


@pytest.mark.parametrize("seed", range(3))
def test_a_class_comes_at_most_once_an_epoch_and_all_come_equally_often(seed):
    sampler = ClassSampler(LABELS, [2] * 3, seed)
    drawn = np.zeros(10, int)
    epochs = 600
    for epoch in range(epochs):
        first = epoch * sampler.batches_per_epoch
        numbers = range(first, first + sampler.batches_per_epoch)
        images = np.concatenate([sampler.batch(number) for number in numbers])
        classes, counts = np.unique(LABELS[images], return_counts=True)
        assert set(counts) == {2}
        drawn[classes] += 1
    # 9 of 10 classes an epoch; the deviation of a binomial is sqrt(n p (1 - p)).
    assert np.abs(drawn - 0.9 * epochs).max() < 5 * np.sqrt(epochs * 0.9 * 0.1)


def test_all_images_of_a_class_come_before_one_comes_again():
    sampler = ClassSampler(np.repeat([0, 1], 8), [2] * 2, seed=0)
    drawn = np.concatenate([sampler.batch(number) for number in range(4)])
    assert np.array_equal(np.sort(drawn), np.arange(16))


def test_a_batch_depends_on_seed_and_number_alone():
    forward = [ClassSampler(LABELS, [4] * 3, 5).batch(n) for n in range(20)]
    resumed = ClassSampler(LABELS, [4] * 3, 5)
    for number in reversed(range(20)):
        np.testing.assert_array_equal(resumed.batch(number), forward[number])
    assert not np.array_equal(ClassSampler(LABELS, [4] * 3, 6).batch(0), forward[0])


def test_labels_need_no_order():
    shuffled = np.random.default_rng(0).permutation(LABELS)
    batch = ClassSampler(shuffled, [4] * 3, 0).batch(0)
    assert set(np.unique(shuffled[batch], return_counts=True)[1]) == {4}


def test_too_few_classes_are_refused():
    with pytest.raises(InputError, match="Received: 11, with 10 classes"):
        ClassSampler(LABELS, [2] * 11, 0)


def test_a_class_with_fewer_images_than_k_is_named():
    names = tuple(f"name_{label}" for label in range(10))
    with pytest.raises(InputError, match="Received: 5; class name_0 has 4"):
        ClassSampler(LABELS, [5] * 3, 0, names)


PAIRS = [2] * 3 + [1] * 4
SINGLES = np.repeat(np.arange(40), [1] * 20 + [2, 3, 4, 5] * 5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("labels", [np.repeat(np.arange(30), 4), SINGLES])
def test_pairs_are_of_one_class_or_of_two(labels, seed):
    sampler = ClassSampler(labels, PAIRS, seed)
    for number in range(100):
        batch = sampler.batch(number)
        drawn = labels[batch]
        assert len(np.unique(batch)) == len(batch) == 10
        assert np.array_equal(drawn[0:6:2], drawn[1:6:2])
        assert len(np.unique(drawn)) == 7


@pytest.mark.parametrize("seed", range(3))
def test_no_class_comes_twice_in_an_epoch_of_pairs(seed):
    sampler = ClassSampler(SINGLES, PAIRS, seed)
    assert sampler.batches_per_epoch == 5
    assert sampler.num_small_classes == 20
    drawn = np.zeros(40, int)
    epochs = 400
    for epoch in range(epochs):
        batches = [sampler.batch(5 * epoch + place) for place in range(5)]
        slots = np.concatenate([SINGLES[b[[0, 2, 4, 6, 7, 8, 9]]] for b in batches])
        assert len(np.unique(slots)) == len(slots) == 35
        drawn[slots] += 1
    # Small and large classes alike; 5 deviations of a binomial.
    assert abs(drawn[:20].mean() - drawn[20:].mean()) < 0.1 * epochs
    assert drawn.min() > 0.6 * epochs


def test_online_products_as_they_are():
    """11,318 classes of 2 to 12 images, 16 positive and 16 negative pairs."""
    labels = np.repeat(np.arange(11318), np.arange(11318) % 11 + 2)
    sampler = ClassSampler(labels, [2] * 16 + [1] * 32, 0)
    assert sampler.batches_per_epoch == 11318 // 48
    drawn = [labels[sampler.batch(n)] for n in range(sampler.batches_per_epoch)]
    classes, counts = np.unique(np.concatenate(drawn), return_counts=True)
    assert len(classes) == 48 * (11318 // 48)
    assert set(counts) == {1, 2}


def test_too_few_classes_with_a_positive_pair_are_refused():
    labels = np.repeat(np.arange(12), [1] * 10 + [2] * 2)
    with pytest.raises(InputError, match="Received: 3, with 2"):
        ClassSampler(labels, PAIRS, 0)


def test_uniform_batches_have_every_image_once_an_epoch():
    sampler = UniformSampler(23, 5, seed=1)
    for epoch in range(20):
        batches = [sampler.batch(4 * epoch + number) for number in range(4)]
        assert {len(batch) for batch in batches} == {5}
        assert len(np.unique(batches)) == 20
    drawn = np.bincount(np.concatenate([sampler.batch(n) for n in range(4 * 500)]))
    assert drawn.min() > 0.9 * 500 * 20 / 23
    # Nothing is carried: any batch is had alone, and anew.
    again = UniformSampler(23, 5, seed=1).batch(77)
    np.testing.assert_array_equal(again, sampler.batch(77))
    assert (UniformSampler(23, 5, seed=2).batch(77) != again).any()


def test_more_images_a_batch_than_there_are_is_refused():
    with pytest.raises(InputError, match="Received: 24, with 23"):
        UniformSampler(23, 24, seed=0)
