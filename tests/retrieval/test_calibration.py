"""P(same kind): against counting, and where there is nothing to count."""

import dataclasses
import math

import numpy as np
import pytest

from abe_tf.retrieval import calibration
from abe_tf.retrieval.calibration import Calibration, base_rate, calibrate
from abe_tf.retrieval.embedded import Embedded


def clouds(seed, classes=30, photos=12, learners=3, dim=8, noise=0.35):
    """Photos around the middles of their classes, as networks see them."""
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=[classes, learners, dim])
    vectors = np.repeat(
        middles / np.linalg.norm(middles, axis=-1)[..., None], photos, 0
    )
    vectors = vectors + noise * rng.normal(size=vectors.shape)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    return Embedded(vectors.astype(np.float32), np.repeat(np.arange(classes), photos))


def pairs(embedded):
    """Ensemble distances of all pairs in float64, and which are of one kind."""
    vectors = embedded.learner_embeddings.astype(np.float64)
    distances = np.linalg.norm(vectors[:, None] - vectors, axis=-1).mean(-1)
    one, other = np.triu_indices(len(embedded), 1)
    return distances[one, other], embedded.labels[one] == embedded.labels[other]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_is_said_of_other_classes_is_what_is_seen(seed):
    fitted = calibrate(clouds(seed))
    distances, same = pairs(clouds(seed + 10))
    said = fitted.probability(distances, base_rate=same.mean())
    seen = [
        (said[here].mean(), same[here].mean(), here.mean())
        for low in np.arange(0, 1, 0.1)
        if (here := (said >= low) & (said < low + 0.1)).any()
    ]
    assert len(seen) >= 5
    assert sum(abs(p - q) * share for p, q, share in seen) < 0.01
    assert max(abs(p - q) for p, q, share in seen if share > 1e-3) < 0.12
    # In all it says as many as there are.
    assert said.mean() == pytest.approx(same.mean(), rel=0.1)


def test_isotonic_regression_is_that_of_pooling_neighbours():
    embedded = clouds(3, classes=6, photos=5)
    distances, same = pairs(embedded)
    # In the bins that the fit counts in.
    bins = np.minimum((distances * 1000).astype(int), 1999)
    blocks = []
    for place in np.unique(bins):
        here = bins == place
        counts = np.array([same[here].sum(), (~same[here]).sum()], float)
        blocks.append([counts / [same.sum(), (~same).sum()], counts, place])
    pooled = []
    for weights, counts, place in blocks:
        centre = (place + 0.5) / 1000 * weights.sum()
        pooled.append([weights, counts, centre])
        # Pool adjacent violators: the share must fall from block to block.
        while len(pooled) > 1 and share(pooled[-2]) <= share(pooled[-1]):
            last = pooled.pop()
            pooled[-1] = [a + b for a, b in zip(pooled[-1], last, strict=True)]
    fitted = calibrate(embedded)
    np.testing.assert_allclose(
        fitted.distances, [c / w.sum() for w, _, c in pooled], rtol=1e-9
    )
    total = same.sum(), (~same).sum()
    ratios = [
        math.log((n + 0.5) / (total[0] + 1)) - math.log((m + 0.5) / (total[1] + 1))
        for _, (n, m), _ in pooled
    ]
    falling = np.minimum.accumulate(ratios)
    # Six kinds are fifteen pairs of kinds.
    bounded = np.clip(falling, -math.log(2 * 6), math.log(2 * 15))
    np.testing.assert_allclose(fitted.log_ratios, bounded)
    assert bounded[0] < falling[0]


def share(block):
    return block[0][0] / block[0].sum()


def test_the_base_rate_moves_the_odds_by_bayes_rule():
    fitted = calibrate(clouds(0))
    distances = np.linspace(0, 2, 50)
    even = fitted.probability(distances, 0.5)
    rare = fitted.probability(distances, 1 / 200)
    ratio = even / (1 - even)
    np.testing.assert_allclose(rare / (1 - rare), ratio * (1 / 199), rtol=1e-9)
    assert np.all(np.diff(rare) <= 0)
    # What was never seen may still be.
    assert 0 < rare.min() < rare.max() < 1


def test_a_precision_is_a_distance():
    fitted = calibrate(clouds(1))
    for rate in (1 / 5, 1 / 30, 1 / 300):
        for precision in (0.2, 0.5, 0.9):
            limit = fitted.distance_at(precision, rate)
            if limit is None:
                # As sure as so few kinds can make, and no surer.
                assert fitted.probability(0, rate) < precision
                continue
            assert fitted.probability(limit, rate) == pytest.approx(precision)
            assert fitted.probability(limit + 1e-3, rate) < precision
    assert fitted.distance_at(0.999999, 1e-6) is None
    assert fitted.distance_at(1e-9, 0.5) == 2.0


def test_photos_of_one_kind_calibrate_nothing():
    one = clouds(0, classes=1)
    assert calibrate(one) is None
    alone = clouds(0, photos=1)
    assert calibrate(alone) is None


def test_what_is_kept_is_read_again(tmp_path, capsys):
    fitted = calibrate(clouds(0), split="validation")
    path = tmp_path / "calibration.json"
    path.write_text(fitted.text())
    assert calibration.read(str(path), "") == fitted
    assert fitted.about["pairs_of_one_kind"] == 30 * 12 * 11 // 2
    assert fitted.about["pairs_of_two_kinds"] == 360 * 348 // 2
    assert calibration.read(str(tmp_path / "none"), "") is None
    for damaged in (
        *("", "[]", "{}", '{"format": 2}'),
        fitted.text()[:100],
        Calibration((0.5, 0.4), (1.0, 0.0)).text(),
        Calibration((0.4, 0.5), (0.0, 1.0)).text(),
        Calibration((0.4,), (0.0, -1.0)).text(),
        Calibration((), ()).text(),
    ):
        path.write_text(damaged)
        assert calibration.read(str(path), "Measure again.") is None
        said = capsys.readouterr().err
        assert "calibration.json is damaged" in said and "Measure again." in said


def test_base_rate_counts_pairs():
    labels = [0] * 4 + [1] * 3 + [2]
    same = [a == b for i, a in enumerate(labels) for b in labels[:i]]
    assert base_rate([4, 3, 1]) == pytest.approx(np.mean(same))
    assert base_rate([5]) is None
    assert base_rate([1, 1]) is None
    assert base_rate([]) is None


def test_of_many_photos_some_are_queries_and_no_pair_counts_twice(monkeypatch):
    embedded = clouds(4)
    monkeypatch.setattr(calibration, "_MOST_QUERIES", 100)
    fitted = calibrate(embedded)
    queries = set(range(0, 360, 4))
    counted = {frozenset((q, i)) for q in queries for i in range(360) if i != q}
    same = sum(len({embedded.labels[i] for i in pair}) == 1 for pair in counted)
    assert fitted.about["pairs_of_one_kind"] == same
    assert fitted.about["pairs_of_two_kinds"] == len(counted) - same


def test_pairs_of_one_kind_are_not_counted_as_two():
    """Photos of other places may be of kinds that trained."""
    held_out, trained = clouds(0, classes=5), clouds(1, classes=20, photos=4)
    fitted = calibrate(held_out, trained)
    both = 5 * 12 * 4
    assert fitted.about["pairs_of_two_kinds"] == 12 * 12 * 10 + 60 * 80 - both
    assert fitted.about["pairs_of_kinds"] == 10 + 5 * 20 - 5


def test_photos_of_kinds_that_trained_are_other_kinds():
    held_out, trained = clouds(0, classes=5), clouds(1, classes=20, photos=4)
    trained = dataclasses.replace(trained, labels=np.asarray(trained.labels) + 5)
    fitted = calibrate(held_out, trained)
    assert fitted.about["pairs_of_two_kinds"] == 12 * 12 * 10 + 60 * 80
    assert fitted.about["pairs_of_one_kind"] == 5 * 12 * 11 // 2
    assert fitted.about["pairs_of_kinds"] == 10 + 5 * 20
    assert fitted.log_ratios[0] == pytest.approx(math.log(2 * 110))
    # Kinds that lie on the held-out ones make nobody sure.
    same_places = Embedded(held_out.learner_embeddings, held_out.labels + 100)
    doubtful = calibrate(held_out, same_places)
    near = np.array([fitted.distances[0]])
    assert doubtful.probability(near, 0.5) < fitted.probability(near, 0.5) - 0.1
