"""Rates chosen at shorter trainings, around what was best, and carried over."""

import dataclasses
import json
import os

import pytest

from abe_tf.config.compare import CompareConfig
from abe_tf.config.data import DataConfig
from abe_tf.config.model import ModelConfig
from abe_tf.errors import InputError
from abe_tf.figures import budgets as figure
from abe_tf.figures.ablation import SweepRow
from abe_tf.runs import measurements
from abe_tf.runs.flags import RunFlags
from abe_tf.sweeps import budgets, comparing, tables
from tests.conftest import SMALL

START = RunFlags(
    ModelConfig(ensemble="abe", num_learners=4, embedding_dim=64),
    DataConfig(validation_classes=0.5),
).changed({"steps": 90})
ASKED = CompareConfig(rows="ensembles", budgets=(10, 30), seeds=1)


def measure(trial, recall):
    """As if the training had ended, with this recall."""
    steps = trial.flags.training.steps
    one = {
        "checkpoint": f"step-{steps}",
        "ensemble": {"recall@1": recall},
        "individual_mean": {"recall@1": recall - 10},
        "self_pair_cosine": 0.5,
    }
    os.makedirs(trial.point.workdir)
    path = os.path.join(trial.point.workdir, "results.json")
    measurements.add(path, {measurements.key("validation", f"step-{steps}"): one}, {})


def test_each_budget_tries_around_the_best_rate_of_the_one_before(tmp_path):
    comparison = comparing.Comparison(str(tmp_path), START, ASKED)
    comparison.check()
    # By steps, then by rate: 0.003 is best at first, then 0.009, which trains at last.
    recalls = {
        10: {"0.0003": 20, "0.001": 30, "0.003": 40},
        30: {"0.0009": 50, "0.003": 60, "0.009": 70},
        90: {"0.009": 80},
    }
    center = {10: "0.001", 30: "0.003", 90: "0.009"}
    planned = comparison.plan()["abe"]
    assert {trial.flags.training.steps for trial in planned} == {10}
    for steps, by_rate in recalls.items():
        tried = comparison.at(steps, center[steps]).tries("abe")
        found = {f"{t.flags.training.learning_rate:g}": t for t in tried}
        assert list(found) == list(by_rate)
        for rate, trial in found.items():
            assert trial.flags.training.steps == steps
            assert trial.flags.model == START.model
            measure(trial, by_rate[rate])
    rungs = budgets.climb(comparison, "abe")
    assert [rung.content() for rung in rungs] == [
        {
            "steps": steps,
            "learning_rate": rate,
            "recall@1": [recall],
            "learners_recall@1": [recall - 10],
            "self_pair_cosine": [0.5],
        }
        for steps, rate, recall in (
            (10, "0.003", 40),
            (30, "0.009", 70),
            (90, "0.009", 80),
        )
    ]


def test_a_ladder_that_is_longer_or_has_other_rungs_goes_on(tmp_path):
    """What was trained of one stands in no other's way."""
    one = comparing.Comparison(str(tmp_path), START, ASKED)
    rate = {"learning_rate": "0.003"}
    trained = [*one.at(30, "0.003").tries("abe"), *one.measured("abe", rate)["abe"]]
    for trial in trained:
        os.makedirs(trial.point.workdir)
        with open(os.path.join(trial.point.workdir, "flags.cfg"), "w") as file:
            file.write(trial.flags.text())
    # The same rung, around another rate.
    other = one.at(30, "0.009").tries("abe")
    shared = {t.point.workdir for t in trained} & {t.point.workdir for t in other}
    assert {os.path.basename(path) for path in shared} == {"learning_rate=0.009,seed=0"}
    longer = comparing.Comparison(
        str(tmp_path),
        START.changed({"steps": 270}),
        dataclasses.replace(ASKED, budgets=(10, 30, 90)),
    )
    longer.plan()
    (run,) = longer.measured("abe", rate)["abe"]
    assert run.flags.training.steps == 270
    assert not os.path.exists(run.point.workdir)
    longer.at(90, "0.003").tries("abe")


def test_all_that_counts_steps_is_as_much_shorter(tmp_path):
    start = START.changed(
        {"warmup_steps": 9, "decay_steps": 45, "divergence_start_step": 18}
    )
    comparison = comparing.Comparison(str(tmp_path), start, ASKED)
    flags = comparison.at(10, "0.001").tries("abe")[0].flags
    training, loss = flags.training, flags.loss
    assert (training.steps, training.warmup_steps, training.decay_steps) == (10, 1, 5)
    assert loss.divergence_start_step == 2
    (run,) = comparison.measured("abe", {})["abe"]
    assert run.flags.training.warmup_steps == 9


@pytest.mark.parametrize(
    ("recalls", "end"), [((3, 2, 1), "lowest"), ((1, 2, 3), "highest"), ((1, 3, 2), "")]
)
def test_a_best_rate_at_an_end_is_told(tmp_path, capsys, recalls, end):
    comparison = comparing.Comparison(str(tmp_path), START, ASKED).at(10, "0.001")
    tried = comparison.tries("abe")
    for trial, recall in zip(tried, recalls, strict=True):
        measure(trial, recall)
    comparison.choose("abe", tried)
    said = capsys.readouterr().out
    assert (f"The best is the {end} of these" in said) == bool(end)
    assert ("one beyond may be better" in said) == bool(end)


def test_a_learner_alone_has_the_size_of_one_of_several(tmp_path):
    asked = CompareConfig(rows="ensembles", ensembles=("learner", "none"))
    comparison = comparing.Comparison(str(tmp_path), START, asked)
    for name, dim in (("learner", 16), ("none", 64)):
        (runs,) = comparison.measured(name, {}).values()
        model = runs[0].flags.model
        assert (model.ensemble, model.num_learners) == ("none", 1)
        assert model.embedding_dim == dim
    one = START.changed({"num_learners": 1})
    with pytest.raises(InputError, match="--ensembles=learner needs --num_learners"):
        comparing.Comparison(str(tmp_path), one, asked).check()


@pytest.mark.parametrize("given", [(30, 10), (10, 10), (0, 10)])
def test_budgets_rise(given):
    with pytest.raises(InputError, match="--budgets must be steps that rise"):
        CompareConfig(rows="ensembles", budgets=given)


def test_budgets_are_of_ensembles_and_shorter_than_the_training(tmp_path):
    with pytest.raises(InputError, match="goes with --rows=ensembles"):
        CompareConfig(budgets=(10,))
    start = START.changed({"steps": 30})
    comparison = comparing.Comparison(str(tmp_path), start, ASKED)
    with pytest.raises(InputError, match="Received: 30 with --steps=30"):
        comparison.check()


def rungs(*recalls, cosines=()):
    return tuple(
        budgets.Rung(steps, SweepRow("0.001", [float(r)] if r else [], [9.0], cosines))
        for steps, r in zip((10, 1000), recalls, strict=True)
    )


def test_the_table_has_a_column_a_budget_and_learners_below():
    several = rungs(50, 60, cosines=[0.1])
    rows = {
        "1-head^64": tables.Row({}, SweepRow("", [1.0], [1.0], []), frozenset()),
        "ABE-4^64": tables.Row({}, SweepRow("", [1.0], [1.0], [0.1]), frozenset()),
    }
    of_one, of_four = rows
    rows[of_one] = dataclasses.replace(rows[of_one], budgets=rungs(20, 30))
    rows[of_four] = dataclasses.replace(rows[of_four], budgets=several)
    lines = [line.split() for line in tables.budgets_as_text(rows).splitlines()]
    assert lines[0][:3] == ["steps", "10", "1,000"]
    assert lines[1:] == [
        ["1-head^64", "20.0", "30.0"],
        ["--learning_rate", "0.001", "0.001"],
        ["ABE-4^64", "50.0", "60.0"],
        ["its", "learners", "alone", "9.0", "9.0"],
        ["--learning_rate", "0.001", "0.001"],
    ]
    assert rows[of_four].content()["budgets"][1]["recall@1"] == [60.0]


def test_the_curve_is_drawn_also_where_a_training_diverged():
    curves = {
        "1-head^64": [(rung.steps, rung.best) for rung in rungs(20, None)],
        "ABE-4^64": [(r.steps, r.best) for r in rungs(50, 60, cosines=[0.1])],
    }
    assert figure.draw(curves).startswith(b"\x89PNG")


@pytest.mark.slow
def test_budgets_are_climbed_drawn_and_it_goes_on(photos, run_command, tmp_path):
    folder = tmp_path / "compared"
    flags = [
        *(*SMALL, f"--data_dir={photos}", "--train_classes=0:6", "--steps=2"),
        *("--validation_classes=0.4", "--classes_per_batch=2", f"--workdir={folder}"),
        *("--rows=ensembles", "--ensembles=learner", "--budgets=1", "--seeds=1"),
        "--rate_factors=0.5,1",
    ]
    output = run_command("abe_tf.compare", *flags).stdout
    content = json.loads((folder / "compared.json").read_text())
    (row,) = content["ensembles"].values()
    short, long = row["budgets"]
    assert (short["steps"], long["steps"]) == (1, 2)
    swept = folder / "steps=1" / "tries" / "learner" / "sweep.json"
    tried = json.loads(swept.read_text())["learning_rate"]
    by_rate = {one["value"]: one["ensemble"] for one in tried}
    assert len(by_rate) == 2
    assert by_rate[short["learning_rate"]] == max(by_rate.values())
    assert long["learning_rate"] == short["learning_rate"]
    assert row["chosen"] == {"learning_rate": long["learning_rate"]}
    (measured,) = (folder / "steps=2" / "learner").glob("*/results.json")
    (of_table,) = measurements.read(str(measured)).values()
    assert row["recall@1"] == [of_table["ensemble"]["recall@1"]]
    assert (folder / "budgets.png").read_bytes().startswith(b"\x89PNG")
    written = measured.stat().st_mtime_ns
    assert run_command("abe_tf.compare", *flags).stdout == output
    assert measured.stat().st_mtime_ns == written
