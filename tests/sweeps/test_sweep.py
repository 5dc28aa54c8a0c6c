"""A sweep: one factor at a time, on held-out classes, goes on where it stopped."""

import json
import statistics

import pytest

from abe_tf.config.sweep import SweepConfig
from abe_tf.figures import ablation
from abe_tf.figures.ablation import SweepRow
from abe_tf.runs import measurements
from abe_tf.sweeps.points import as_text
from tests.conftest import SMALL


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
    assert "Every run of a sweep must succeed" in ended


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
