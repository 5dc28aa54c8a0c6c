"""Is P(same kind) what is seen, on classes that neither training nor calibration saw?

    python -m abe_tf.evaluate --workdir=RUN
    python -m abe_tf.evaluate --workdir=RUN --split=validation
    python -m benchmarks.calibration --runs=RUN,ANOTHER_SEED --picture=calibration.png

Of the pairs of test photos: the expected calibration error at three base rates (pairs
of one kind and of two are weighted to it), and of those that P(same kind) lies above
half for, what it says on average and how many are of one kind. Then half of the test
photos of each class are labelled, and their neighbours label the others. One row is the
mean over the runs, with the sample's deviation.
"""

from __future__ import annotations

import os

import numpy as np
from absl import app, flags

from abe_tf.photo_index.pile.labels import likely, vote
from abe_tf.retrieval import archive
from abe_tf.retrieval.calibration import Calibration, base_rate
from abe_tf.retrieval.embedded import Embedded
from abe_tf.runs import trained
from abe_tf.runs.folder import RunFolder

_RUNS = flags.DEFINE_list("runs", None, "run folders, evaluated", required=True)
_PICTURE = flags.DEFINE_string("picture", None, "a PNG file for said against seen")
_SEED = flags.DEFINE_integer("seed", 0, "of the photos that are labelled")
_PRECISION = flags.DEFINE_float("precision", 95, "asked of labels, in percent")
_NEIGHBOURS = flags.DEFINE_integer("neighbours", 10, "of a photo, that have a vote")
_BASE_RATES = (1 / 20, 1 / 200, 1 / 2000)
_BINS = np.linspace(0, 1, 16)
_PORTION = 256


def loaded(workdir: str) -> tuple[Calibration, Embedded]:
    """The calibration of a run's best checkpoint, and its embeddings of the test."""
    fitted = trained.newest_calibration(workdir, "best")
    path = RunFolder(workdir).embeddings("test")
    if fitted is None or not os.path.isfile(path):
        raise SystemExit(
            f"{workdir}: evaluate it, and with --split=validation too, first"
        )
    return fitted, archive.load(path).queries


def distances(embedded: Embedded, some: np.ndarray) -> np.ndarray:
    """Ensemble distances of some images to all, `[some, images]` float64."""
    learners = embedded.learner_embeddings
    total = np.zeros([len(some), len(embedded)])
    for learner in range(learners.shape[1]):
        one = learners[:, learner].astype(np.float64)
        squares = np.square(one).sum(1)
        products = one[some] @ one.T
        both = squares[some][:, np.newaxis] + squares
        total += np.sqrt(np.maximum(0, both - 2 * products))
    return total / learners.shape[1]


def counted(embedded: Embedded, fitted: Calibration, rate: float) -> np.ndarray:
    """Of each bin of P: weight of pairs, sum of P, weight of one kind; `[3, bins]`."""
    sums = np.zeros([2, 2, len(_BINS) - 1])
    totals = np.zeros(2)
    positions = np.arange(len(embedded))
    for start in range(0, len(embedded), _PORTION):
        some = positions[start : start + _PORTION]
        said = fitted.probability(distances(embedded, some), rate)
        own = embedded.labels[some, np.newaxis] == embedded.labels
        later = some[:, np.newaxis] < positions
        for kind, chosen in enumerate((own & later, ~own & later)):
            values = said[chosen]
            totals[kind] += len(values)
            sums[kind, 0] += np.histogram(values, _BINS)[0]
            sums[kind, 1] += np.histogram(values, _BINS, weights=values)[0]
    weights = np.array([rate, 1 - rate]) / totals
    scaled = sums * weights[:, np.newaxis, np.newaxis]
    return np.stack([scaled[:, 0].sum(0), scaled[:, 1].sum(0), scaled[0, 0]])


def summed_up(bins: np.ndarray) -> dict[str, float]:
    """Expected calibration error, and said and seen above one half, in percent."""
    weight, said, seen = bins
    error = np.abs(said - seen).sum() / weight.sum()
    above = _BINS[:-1] >= 0.5 - 1 / len(_BINS)
    share = weight[above].sum()
    return {
        "ECE": 100 * error,
        "said": 100 * said[above].sum() / share if share else np.nan,
        "seen": 100 * seen[above].sum() / share if share else np.nan,
    }


def labelled(embedded: Embedded, fitted: Calibration) -> dict[str, float]:
    """Precision and coverage of labels by neighbours, in percent."""
    labels, rng = np.asarray(embedded.labels), np.random.default_rng(_SEED.value)
    known = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        known[rng.permutation(places)[: (len(places) + 1) // 2]] = True
    rate = base_rate(np.unique(labels[known], return_counts=True)[1])
    if rate is None:
        raise SystemExit("the test classes must be several, of several photos")
    sure, right, asked = 0, 0, np.flatnonzero(~known)
    for start in range(0, len(asked), _PORTION):
        some = asked[start : start + _PORTION]
        measured = np.where(known, distances(embedded, some), np.inf)
        nearest = np.argsort(measured, 1)[:, : _NEIGHBOURS.value]
        for row, image, neighbours in zip(measured, some, nearest, strict=True):
            votes = likely(fitted.probability(row[neighbours], rate))
            label, share = vote(labels[neighbours].tolist(), votes.tolist())
            if share >= _PRECISION.value / 100:
                sure += 1
                right += label == labels[image]
    return {
        "precision": 100 * right / sure if sure else np.nan,
        "coverage": 100 * sure / len(asked),
    }


def draw(path: str, curves: dict[str, list[np.ndarray]]) -> None:
    """Said against seen, a line for each base rate, a point for each bin."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 5), layout="constrained")
    axes.plot([0, 100], [0, 100], color="0.6", linewidth=1)
    for name, runs in curves.items():
        weight, said, seen = np.sum(runs, 0)
        full = weight > 1e-9
        x, y = (100 * values[full] / weight[full] for values in (said, seen))
        axes.plot(x, y, marker="o", label=name)
    axes.set(xlabel="P(same kind) said, %", ylabel="pairs of one kind seen, %")
    axes.legend(title="base rate")
    figure.savefig(path, dpi=110)


def row(name: str, runs: list[dict[str, float]]) -> str:
    """Mean and sample deviation of each figure, as a row of a table."""
    cells = []
    for key in runs[0]:
        values = np.array([run[key] for run in runs])
        spread = f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else ""
        cells.append(f"{values.mean():.2f}{spread}")
    return f"| {name} | {' | '.join(cells)} |"


def main(_: list[str]) -> None:
    """Prints both tables, and draws."""
    runs = [loaded(workdir) for workdir in _RUNS.value]
    curves: dict[str, list[np.ndarray]] = {}
    print("| base rate | ECE | said above 50 % | seen above 50 % |")
    for rate in _BASE_RATES:
        name = f"1 : {1 / rate:,.0f}"
        curves[name] = [counted(embedded, fitted, rate) for fitted, embedded in runs]
        print(row(name, [summed_up(bins) for bins in curves[name]]))
    print(f"| labels at {_PRECISION.value:g} % | precision | coverage |")
    print(row("", [labelled(embedded, fitted) for fitted, embedded in runs]))
    if _PICTURE.value:
        draw(_PICTURE.value, curves)


if __name__ == "__main__":
    app.run(main)
