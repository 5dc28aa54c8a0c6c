"""Nothing but our own lines on stderr, and those always."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT


def run(*arguments, **environment):
    kept = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_that_fails_behind_tensorflow_says_one_line(trained, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(trained[0], workdir)
    for data in workdir.rglob("weights.data*"):
        os.truncate(data, 10)
    done = run("-m", "abe_tf.evaluate", f"--workdir={workdir}")
    assert done.returncode == 1
    assert "A checkpoint must be readable" in done.stderr
    lines = done.stderr.splitlines()
    assert all(line.startswith("evaluate: ") for line in lines), done.stderr


@pytest.mark.parametrize("level", ["0", "3"])
def test_stderr_is_back_whatever_happens(level):
    script = """
import os, sys
from abe_tf import quiet
try:
    with quiet.silence():
        os.write(2, b"lost\\n")
        raise ImportError("kept")
except ImportError as error:
    print(error, file=sys.stderr)
os.close(2)
with quiet.silence():
    print("no stderr")
"""
    done = run("-c", script, TF_CPP_MIN_LOG_LEVEL=level)
    assert done.stderr == ("lost\nkept\n" if level == "0" else "kept\n")
    assert done.stdout == "no stderr\n"


def test_tensorflow_is_found_once_and_as_ever():
    script = """
import sys
from abe_tf import quiet
before = list(sys.meta_path)
quiet.tensorflow()
import tensorflow as tf
assert set(before) <= set(sys.meta_path)
assert not any(type(one).__module__ == "abe_tf.quiet" for one in sys.meta_path)
print(int(tf.constant(1) + 1))
"""
    assert run("-c", script, TF_CPP_MIN_LOG_LEVEL="3").stdout == "2\n"
