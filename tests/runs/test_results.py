"""Results are filed by split and checkpoint; the flat file of before is read too."""

import json
import threading

import pytest

from abe_tf.errors import InputError
from abe_tf.runs import measurements

FLAT = {
    "split": "validation",
    "checkpoint": "step-9",
    "ensemble": {"recall@1": 90.0},
    "by_checkpoint": {
        "best": {"checkpoint": "step-9", "ensemble": {"recall@1": 90.0}},
        "last": {"checkpoint": "step-10", "ensemble": {"recall@1": 70.0}},
    },
}


def recalls(path):
    found = measurements.read(str(path))
    return {key: one["ensemble"]["recall@1"] for key, one in found.items()}


def measured(recall):
    return {"ensemble": {"recall@1": recall}}


def test_test_and_validation_lie_beside_each_other(tmp_path):
    path = tmp_path / "results.json"
    assert measurements.read(str(path)) == {}
    path.write_text(json.dumps(FLAT))
    assert recalls(path) == {"validation/step-9": 90.0, "validation/step-10": 70.0}
    measurements.add(str(path), {"test/step-9": measured(50.0)}, {})
    measurements.add(str(path), {"test/step-9": measured(51.0)}, {})
    assert recalls(path) == {
        "validation/step-9": 90.0,
        "validation/step-10": 70.0,
        "test/step-9": 51.0,
    }
    assert json.loads(path.read_text())["format"] == 2


def test_recall_alone_replaces_nothing(tmp_path):
    path = tmp_path / "results.json"
    for _ in range(2):
        measurements.add(str(path), {}, {"test/step-1": measured(1.0)})
    measurements.add(str(path), {"test/step-1": measured(2.0)}, {})
    measurements.add(str(path), {}, {"test/step-1": measured(3.0)})
    assert recalls(path) == {"test/step-1": 2.0}


def test_evaluations_that_end_at_once_lose_nothing(tmp_path):
    path = str(tmp_path / "results.json")

    def file(split):
        for step in range(20):
            key = measurements.key(split, f"step-{step}")
            measurements.add(path, {key: measured(1.0)}, {})

    threads = [threading.Thread(target=file, args=[split]) for split in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(measurements.read(path)) == 80


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": 2, "resu', "must be what abe_tf.evaluate wrote"),
        ("[]", "must be what abe_tf.evaluate wrote"),
        ('{"ensemble": {}}', "must be what abe_tf.evaluate wrote"),
        ('{"format": 3, "results": {}}', "must be of format 2. .* of format 3"),
        ('{"format": 2, "results": {"test/step-4": 3}}', "what abe_tf.evaluate wrote"),
        ('{"format": 2, "results": {"test/step-4": {}}}', "no recall in 'test/step-4'"),
        ("[" * 100_000, "what abe_tf.evaluate wrote"),
    ],
)
def test_a_file_that_is_none_is_refused_and_stays(tmp_path, text, message):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        measurements.add(str(path), {"test/step-1": {}}, {})
    assert path.read_text() == text
