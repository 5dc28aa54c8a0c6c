import numpy as np
import pytest

from abe_tf.data.sampling import ClassSampler
from abe_tf.errors import InputError

LABELS = np.repeat(np.arange(10), [4, 5, 6, 7, 8, 9, 10, 11, 12, 13])


@pytest.mark.parametrize("seed", range(3))
def test_a_batch_has_p_classes_of_k_different_images(seed):
    sampler = ClassSampler(LABELS, 3, 4, seed)
    for number in range(50):
        batch = sampler.batch(number)
        classes, counts = np.unique(LABELS[batch], return_counts=True)
        assert len(np.unique(batch)) == 12
        assert len(classes) == 3
        assert set(counts) == {4}


@pytest.mark.parametrize("seed", range(3))
def test_a_class_comes_at_most_once_an_epoch_and_all_come_equally_often(seed):
    sampler = ClassSampler(LABELS, 3, 2, seed)
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
    sampler = ClassSampler(np.repeat([0, 1], 8), 2, 2, seed=0)
    drawn = np.concatenate([sampler.batch(number) for number in range(4)])
    assert np.array_equal(np.sort(drawn), np.arange(16))


def test_a_batch_depends_on_seed_and_number_alone():
    forward = [ClassSampler(LABELS, 3, 4, 5).batch(n) for n in range(20)]
    resumed = ClassSampler(LABELS, 3, 4, 5)
    for number in reversed(range(20)):
        np.testing.assert_array_equal(resumed.batch(number), forward[number])
    assert not np.array_equal(ClassSampler(LABELS, 3, 4, 6).batch(0), forward[0])


def test_labels_need_no_order():
    shuffled = np.random.default_rng(0).permutation(LABELS)
    batch = ClassSampler(shuffled, 3, 4, 0).batch(0)
    assert set(np.unique(shuffled[batch], return_counts=True)[1]) == {4}


def test_too_few_classes_are_refused():
    with pytest.raises(InputError, match="Received: 11, with 10 classes"):
        ClassSampler(LABELS, 11, 2, 0)


def test_a_class_with_fewer_images_than_k_is_named():
    names = tuple(f"name_{label}" for label in range(10))
    with pytest.raises(InputError, match="Received: 5; class name_0 has 4"):
        ClassSampler(LABELS, 3, 5, 0, names)
