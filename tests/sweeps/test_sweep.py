"""A sweep: one factor at a time, on held-out classes, goes on where it stopped."""

import json
import signal
import statistics
import subprocess
import sys
import time

import pytest

from abe_tf.config.sweep import SweepConfig
from abe_tf.errors import InputError
from abe_tf.figures import ablation
from abe_tf.figures.ablation import SweepRow
from abe_tf.runs import measurements
from abe_tf.runs.flags import RunFlags
from abe_tf.runs.folder import RunFolder
from abe_tf.sweeps import trials
from abe_tf.sweeps.points import as_text, best
from tests.conftest import ROOT, SMALL


def sweep_flags(photos, folder, *more):
    return [
        *(*SMALL, f"--data_dir={photos}", "--train_classes=0:6", f"--workdir={folder}"),
        *("--steps=1", "--validation_classes=0.4", "--classes_per_batch=2", *more),
    ]


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_sweep_runs_each_setting_once_and_goes_on(
    photos, run_command, tmp_path, count
):
    folder, seeds = tmp_path / "sweep", range(count)
    flags = sweep_flags(photos, folder, "--vary=lambda_div=0,1", f"--seeds={count}")
    output = run_command("abe_tf.sweep", *flags).stdout
    runs = sorted(path.name for path in folder.iterdir() if path.is_dir())
    # lambda 1 is the flags' own.
    changes = ("", "lambda_div=0,")
    assert runs == sorted(f"{c}seed={seed}" for c in changes for seed in seeds)
    summary = json.loads((folder / "sweep.json").read_text())
    for row, change in zip(summary["lambda_div"], changes[::-1], strict=True):
        measured = [
            measurements.read(str(folder / f"{change}seed={seed}" / "results.json"))
            for seed in seeds
        ]
        measured = [results["validation/step-1"] for results in measured]
        assert {result["split"] for result in measured} == {"validation"}
        recalls = [result["ensemble"]["recall@1"] for result in measured]
        assert row["ensemble"] == recalls
        assert f"{statistics.mean(recalls):.1f}" in output
    assert (folder / "lambda_div.png").read_bytes().startswith(b"\x89PNG")

    kept = folder / "seed=0" / "checkpoints" / "step-1" / "weights.index"
    written = kept.stat().st_mtime_ns
    other = folder / "lambda_div=0,seed=0"
    (other / "results.json").unlink()
    # What somebody measures of a run on its test classes is nothing to choose by.
    worse = {"ensemble": {"recall@1": -1.0}, "individual_mean": {"recall@1": -1.0}}
    path = str(folder / "seed=0" / "results.json")
    measurements.add(path, {"test/step-1": {**worse, "self_pair_cosine": 0.0}}, {})
    again = run_command("abe_tf.sweep", *flags).stdout
    assert again == output
    assert kept.stat().st_mtime_ns == written
    assert (other / "results.json").exists()

    other = run_command("abe_tf.sweep", *flags, "--embedding_dim=8", check=False)
    assert other.returncode == 1
    assert "--embedding_dim=8 (was 16)" in other.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--vary=lambda_div=0,many"], "lambda_div"),
        (["--vary=colour=1,2"], "colour"),
        (["--vary=num_learners=2,3"], "must be a multiple of --num_learners"),
        ([], "--vary must name a factor"),
        (["--vary=steps=1,2", "--validation_classes=0"], "held-out training classes"),
    ],
)
def test_what_cannot_be_varied_is_refused_before_the_first_run(
    photos, run_command, tmp_path, given, message
):
    folder = tmp_path / "sweep"
    flags = sweep_flags(photos, folder, *given)
    result = run_command("abe_tf.sweep", *flags, check=False)
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert message in line
    assert not folder.exists()


def test_a_failed_run_ends_the_sweep_with_its_reason(photos, run_command, tmp_path):
    flags = sweep_flags(photos, tmp_path / "sweep", "--vary=attention_at=conv_1,pool2")
    result = run_command("abe_tf.sweep", *flags, check=False)
    assert result.returncode == 1
    reason, ended = result.stderr.strip().splitlines()
    assert "'conv_1', which inception_small has not" in reason
    assert "Every run must succeed" in ended


def test_a_sweep_that_is_stopped_stops(photos, tmp_path):
    folder = tmp_path / "sweep"
    flags = sweep_flags(photos, folder, "--vary=lambda_div=0,1")
    process = subprocess.Popen(
        [sys.executable, "-m", "abe_tf.sweep", *flags], cwd=ROOT, stdout=subprocess.PIPE
    )
    while not list(folder.glob("*/started_with.cfg")):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert output.decode().endswith("The same command goes on from here.\n")
    # What was stopped is not taken for a run.
    assert not list(folder.glob("*/results.json"))
    assert len(list(folder.iterdir())) == 1


@pytest.mark.slow
def test_a_value_that_diverges_is_none(photos, run_command, tmp_path):
    folder = tmp_path / "sweep"
    rates = ("--optimizer=sgd", "--vary=learning_rate=1e30,0.001", "--steps=4")
    flags = sweep_flags(photos, folder, *rates)
    output = run_command("abe_tf.sweep", *flags).stdout
    first, second = json.loads((folder / "sweep.json").read_text())["learning_rate"]
    assert first["ensemble"] == []
    assert len(second["ensemble"]) == 1
    (line,) = [line for line in output.splitlines() if line.startswith("1e30")]
    assert line.split() == ["1e30", "diverged", "diverged", "-"]
    assert run_command("abe_tf.sweep", *flags).stdout == output


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 5}, "have one --steps. Received: 5, and .* with 4"),
        ({"encoder_weights": "b.h5"}, "have one --encoder_weights"),
        ({"embedding_dim": 1024}, "--embedding_dim=1024"),
    ],
)
def test_runs_that_start_from_something_else_do_not_count(tmp_path, changes, message):
    sweep = SweepConfig(vary=("lambda_div=0,1",))
    start = RunFlags().changed({"encoder": "googlenet", "image_size": 224, "steps": 4})
    start = start.changed({"encoder_weights": "old/a.h5"})
    begun = RunFolder(str(tmp_path / "lambda_div=0,seed=0"))
    setting = {"lambda_div": 0}
    begun.write_record(start.changed(setting), ["a"], [])
    moved = start.changed({"encoder_weights": "new/a.h5", "data_dir": "new"})
    assert len(trials.plan(str(tmp_path), moved, sweep)) == 2
    with pytest.raises(InputError, match=message):
        trials.plan(str(tmp_path), start.changed(changes), sweep)


def test_of_equals_the_middle_one_is_chosen_and_what_diverged_is_none():
    rows = [SweepRow(v, [90.0], [80.0], []) for v in ("1", "2", "3")]
    assert best(rows).value == "2"
    diverged = [SweepRow(v, [], [], []) for v in ("4", "5")]
    assert best([*diverged, rows[2]]).value == "3"
    assert as_text("rate", [*diverged, rows[2]]).count("diverged") == 4
    assert ablation.draw("rate", [*diverged, rows[2]]).startswith(b"\x89PNG")
    with pytest.raises(InputError, match="none of 4, 5"):
        best(diverged)


def test_settings_are_one_factor_at_a_time_or_a_grid():
    vary = ("lambda_div=0,1", "mask_bias=0,3")
    alone = SweepConfig(vary=vary).settings()
    assert alone == [
        *({"lambda_div": "0"}, {"lambda_div": "1"}),
        *({"mask_bias": "0"}, {"mask_bias": "3"}),
    ]
    grid = SweepConfig(vary=vary, grid=True).settings()
    assert grid[1] == {"lambda_div": "0", "mask_bias": "3"}
    assert len(grid) == 4


def test_the_best_is_the_best_on_average():
    rows = [
        SweepRow("a", [90.0, 70.0], [60.0, 60.0], []),
        SweepRow("b", [85.0, 80.0], [50.0, 50.0], [0.2, 0.4]),
    ]
    text = as_text("factor", rows)
    (best,) = [line for line in text.splitlines() if line.endswith("best")]
    assert best.split()[:4] == ["b", "82.5", "±", "3.54"]
    assert "0.30" in best
    assert ablation.draw("factor", rows).startswith(b"\x89PNG")
