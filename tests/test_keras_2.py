"""Keras 2 on every TensorFlow, and one line where what is installed does not fit."""

import os
import subprocess
import sys

import pytest
import tensorflow as tf

from tests.conftest import ROOT

OLD = tf.__version__.startswith("2.15.")


def run(tmp_path, *arguments, installed=(), **environment):
    """Python, where packages of these versions seem to be installed."""
    for package in installed:
        name, version = package.split("==")
        place = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        place.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (place / "METADATA").write_text(text)
    kept = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**kept, "PYTHONPATH": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("module", ["abe_tf.train", "export.client"])
@pytest.mark.parametrize(
    ("installed", "environment", "said"),
    [
        (["tensorflow==2.14.1"], {}, "must be 2.15 or newer. Received: 2.14.1"),
        (
            ["tensorflow==2.15.1", "keras==3.1.0"],
            {},
            "Received: keras 3.1.0. Install keras==2.15.*.",
        ),
        (
            ["tensorflow==2.19.0", "tf-keras==2.18.0"],
            {},
            "tensorflow 2.19.0 and tf-keras 2.18.0. Install tf-keras==2.19.*.",
        ),
        (
            ["tensorflow==2.20.0", "tf-keras==2.20.1"],
            {"TF_USE_LEGACY_KERAS": "0"},
            "TF_USE_LEGACY_KERAS must be 1 or not set",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path, module, installed, environment, said):
    command = ("-m", module, "--help")
    done = run(tmp_path, *command, installed=installed, **environment)
    assert done.returncode == 1
    assert done.stderr.startswith("abe_tf: "), done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    called = run(tmp_path, "-c", "import abe_tf", **environment)
    assert "ImportError: " in called.stderr
    assert said in called.stderr


@pytest.mark.parametrize(
    ("version", "given", "expected"),
    [("2.15.1", "1", None), ("2.15.1", None, None), ("2.20.0", None, "1")],
)
def test_the_variable_is_set_only_where_it_is_needed(
    tmp_path, version, given, expected
):
    installed = [f"tensorflow=={version}", "keras==2.15.0"]
    if version == "2.20.0":
        installed.append("tf-keras==2.20.1")
    elif not OLD:
        pytest.skip("tf-keras is installed: the variable may stay")
    told = run(
        tmp_path,
        *("-c", "import os, abe_tf; print(os.environ.get('TF_USE_LEGACY_KERAS'))"),
        installed=installed,
        **({"TF_USE_LEGACY_KERAS": given} if given else {}),
    )
    assert told.stdout.strip() == str(expected), told.stderr


@pytest.mark.skipif(OLD, reason="TensorFlow 2.15 has no Keras 3")
def test_a_process_that_has_keras_3_already_is_refused(tmp_path):
    first = "import tensorflow as tf; tf.keras.layers.Dense; import abe_tf"
    assert (
        "whose tf.keras is Keras 3. Import abe_tf first"
        in run(tmp_path, "-c", first).stderr
    )
    # Its Keras is chosen when it is first looked at.
    later = "import tensorflow as tf, abe_tf; print(tf.keras.layers.Layer.__module__)"
    assert run(tmp_path, "-c", later).stdout.startswith("tf_keras.")


def test_this_process_has_keras_2():
    # A name that Keras 3 does not have.
    assert tf.keras.layers.Layer.__module__.endswith("engine.base_layer")
