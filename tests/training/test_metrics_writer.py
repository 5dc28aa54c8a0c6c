"""What a run writes of itself while it trains."""

import json
import resource

from abe_tf.runs import records
from abe_tf.training.metrics_writer import MetricsWriter


def test_a_full_disk_is_said_once_and_leaves_whole_lines(tmp_path, capsys):
    """The limit on a file's size stands in for the disk: the same calls fail."""
    path = str(tmp_path / "metrics.jsonl")
    writer = MetricsWriter(str(tmp_path / "events"), path)
    writer.scalars(1, {"loss": 1.0})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, before[1]))
    try:
        for step in (2, 3):
            writer.scalars(step, {"loss": float(step)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = capsys.readouterr().err
    assert said.count("METRICS ARE LOST from here on") == 1
    assert records.read_metrics(path) == [{"step": 1, "loss": 1.0}]
    writer.scalars(4, {"loss": float("inf")})
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    assert lines == [{"step": 1, "loss": 1.0}, {"step": 4, "loss": None}]
