"""A training of a sweep is done once its last step was measured on its own split."""

import json

import pytest

from abe_tf.sweeps.points import Point


@pytest.mark.parametrize("other", ["test/step-4", "validation/step-3", "validation"])
def test_another_measurement_is_none_of_it(tmp_path, other):
    point = Point(str(tmp_path), {}, 0)
    measured = {"ensemble": {"recall@1": 50.0}}

    def write(**results):
        (tmp_path / point.name).mkdir(exist_ok=True)
        content = {"format": 2, "results": results}
        (tmp_path / point.name / "results.json").write_text(json.dumps(content))

    write(**{other: measured})
    assert point.results(4) == {}
    write(**{other: measured, "validation/step-4": measured})
    assert point.results(4) == measured
