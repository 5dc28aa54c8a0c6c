"""A report of runs whose files are damaged: told before anything is embedded."""

import shutil

import pytest

from abe_tf import report
from abe_tf.config.evaluation import (
    CheckpointConfig,
    EvaluationConfig,
    ReportConfig,
    SplitConfig,
)
from abe_tf.errors import InputError
from abe_tf.reports.measuring import Measuring


@pytest.fixture
def runs(trained, tmp_path, monkeypatch):
    """Two run folders; nothing of them can be loaded."""

    def load(self, checkpoint):
        raise AssertionError("the work has begun")

    monkeypatch.setattr(Measuring, "load", load)
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        shutil.copytree(trained[0], folder)
    return folders


def reported(runs):
    report.main(
        ReportConfig(tuple(map(str, runs)), str(runs[0].parent / "report")),
        CheckpointConfig(),
        SplitConfig(),
        EvaluationConfig(),
    )


def test_whole_ones_are_worked_on(runs):
    with pytest.raises(AssertionError, match="the work has begun"):
        reported(runs)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", "{"),
        ("results.json", "[]"),
        ("metrics.jsonl", "{\n{}\n"),
        ("sweep.json", "{"),
        ("../sweep.json", "{"),
    ],
)
def test_a_damaged_file_of_the_last_run_is_named_before_the_work(runs, name, content):
    (runs[1] / name).write_text(content)
    with pytest.raises(InputError, match=name.removeprefix("../")):
        reported(runs)
