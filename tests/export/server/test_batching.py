"""The thread that runs a model for all: nothing ends it, nobody waits for ever."""

import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from export.runtime import c_library
from export.server import batching
from tests.conftest import ROOT


class Model:
    """Doubles; refuses what is negative; the first run waits until it is let go."""

    def __init__(self):
        self.free, self.runs, self.ran = threading.Event(), threading.Event(), []

    def __call__(self, signature, feeds):
        self.ran.append(feeds["x"])
        if len(self.ran) == 1:
            self.runs.set()
            assert self.free.wait(30)
        if np.any(np.less(feeds["x"], 0)):
            raise SystemExit("negative")
        return {"y": 2 * np.asarray(feeds["x"])}


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def batcher(model):
    found = batching.Batcher(model, most=16)
    yield found
    model.free.set()
    found.close()


def first_of(batcher, model):
    """A request that is being answered until the model is let go."""
    first = ask(batcher, [0.0])
    assert model.runs.wait(30)
    return first


def ask(batcher, values):
    x = np.array(values, np.float32)
    return batcher.submit("default", {"x": x}, len(x) if x.ndim else 0)


def test_only_rows_of_one_shape_run_together(batcher, model):
    first = first_of(batcher, model)
    waiting = [ask(batcher, v) for v in ([1.0], [2.0], 3.0, [[4.0]], [[5.0, 6.0]])]
    model.free.set()
    found = [one.result(30)["y"].tolist() for one in [first, *waiting]]
    assert found == [[0.0], [2.0], [4.0], 6.0, [[8.0]], [[10.0, 12.0]]]
    assert [np.shape(x) for x in model.ran] == [(1,), (2,), (), (1, 1), (1, 2)]


def test_a_sender_that_has_gone_ends_nothing(batcher, model):
    first = first_of(batcher, model)
    gone, there = ask(batcher, [1.0]), ask(batcher, [2.0])
    assert gone.cancel()
    model.free.set()
    assert first.result(30)["y"].tolist() == [0.0]
    assert there.result(30)["y"].tolist() == [4.0]
    assert model.ran[1:] == [[2.0]]
    assert batcher.is_working()


def test_whatever_a_run_raises_is_raised_where_it_was_asked(batcher, model):
    first_of(batcher, model)
    bad, good = ask(batcher, [-1.0]), ask(batcher, [1.0])
    model.free.set()
    with pytest.raises(SystemExit, match="negative"):
        bad.result(30)
    assert good.result(30)["y"].tolist() == [2.0]
    assert batcher.is_working()


def test_who_asks_after_the_end_is_refused(model):
    batcher = batching.Batcher(model, most=16)
    batcher.close()
    assert not batcher.is_working()
    with pytest.raises(c_library.GraphError, match="not running any more"):
        ask(batcher, [1.0]).result(30)


def test_what_waits_when_the_thread_ends_is_refused(model, monkeypatch):
    def fail(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(batching.Batcher, "_together", fail)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    batcher = batching.Batcher(model, most=3)
    first = first_of(batcher, model)
    # Two that run together, one that does not fit, one behind.
    asked = [ask(batcher, [1.0] * count) for count in (1, 1, 2, 1)]
    model.free.set()
    assert first.result(30)["y"].tolist() == [0.0]
    for one in asked:
        with pytest.raises(c_library.GraphError, match="not running any more"):
            one.result(30)
    assert not batcher.is_working()


LOAD = """
import sys
from export.runtime import c_api, c_library
try:
    c_api.LoadedModel(sys.argv[1])
except c_library.GraphError as error:
    print(error)
"""


@pytest.mark.parametrize("side", ["inputs", "outputs"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "nowhere:0"}, "'nowhere:0', which is not there"),
        ({"name": "StatefulPartitionedCall:7"}, "Call:7', which is not there"),
        ({"name": "StatefulPartitionedCall:x"}, "Call:x', which is not there"),
        ({"name": ""}, "'', which is not there"),
        ({"dtype": 9}, "DT_INT64 for"),
    ],
)
def test_a_signature_of_tensors_that_are_not_there_is_refused(
    tmp_path, side, change, message
):
    """As a request would otherwise end the process."""
    module = tf.Module()
    call = tf.function(lambda x: {"y": x + 1}, [tf.TensorSpec([None])])
    tf.saved_model.save(module, tmp_path, signatures={"serving_default": call})
    path = tmp_path / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    signature = saved.meta_graphs[0].signature_def["serving_default"]
    tensor = signature.outputs["y"] if side == "outputs" else signature.inputs["x"]
    for name, value in change.items():
        setattr(tensor, name, value)
    path.write_bytes(saved.SerializeToString())
    result = subprocess.run(
        [sys.executable, "-c", LOAD, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "The signature 'serving_default' must" in result.stdout
    assert message in result.stdout
