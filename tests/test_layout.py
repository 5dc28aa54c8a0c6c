import json

import numpy as np
import pytest

from abe_tf.layout import Layout

UNEVEN = Layout.weighted([2, 3, 5], [2, 3, 5])


def random(layout, *shape):
    """Learner embeddings of these sizes and lengths."""
    x = np.random.default_rng(0).normal(size=[*shape, *layout.shape])
    for learner, dim in enumerate(layout.dims):
        x[..., learner, dim:] = 0
    lengths = np.array(layout.lengths)[:, np.newaxis]
    return x / np.linalg.norm(x, axis=-1, keepdims=True) * lengths


def test_sizes_and_lengths_of_learners():
    assert (UNEVEN.learners, UNEVEN.dim, UNEVEN.size) == (3, 5, 10)
    assert UNEVEN.lengths == pytest.approx((0.6, 0.9, 1.5))
    for weight in (7, 0.1):
        assert Layout.weighted([4] * 3, [weight] * 3) == Layout.equal(3, 4)


@pytest.mark.parametrize("layout", [UNEVEN, Layout.equal(3, 4)])
def test_joined_and_apart_are_inverse(layout):
    x = random(layout, 6, 2)
    rows = layout.joined(x)
    assert rows.shape == (6, 2, layout.size)
    np.testing.assert_array_equal(layout.apart(rows), x)
    first = np.concatenate([x[0, 0, m, :d] for m, d in enumerate(layout.dims)])
    np.testing.assert_array_equal(rows[0, 0], first)


def test_lengths_weight_the_distances_of_vectors_of_unit_length():
    x, y = random(UNEVEN, 2)
    weights = np.array([2, 3, 5])
    unit = [one / np.array(UNEVEN.lengths)[:, np.newaxis] for one in (x, y)]
    plain = np.linalg.norm(unit[0] - unit[1], axis=-1)
    # d_ens = sum of w D over the sum of w.
    ensemble = np.linalg.norm(x - y, axis=-1).mean()
    assert ensemble == pytest.approx((weights * plain).sum() / weights.sum())
    # BIER multiplies each learner by its weight before the inner product.
    whole = np.linalg.norm(UNEVEN.joined(x) - UNEVEN.joined(y))
    published = np.sqrt((np.square(weights / weights.sum() * plain)).sum())
    assert whole == pytest.approx(3 * published)


def test_what_it_tells_is_read_again():
    for layout in (UNEVEN, Layout.equal(2, 8), Layout.weighted([4, 4], [1, 2])):
        assert Layout.of(json.loads(json.dumps(layout.values()))) == layout
    # As files of before tell it.
    assert Layout.of({"learners": 2, "dim": 8, "rows": 9}) == Layout.equal(2, 8)
    with pytest.raises(KeyError):
        Layout.of({"learners": 2})
