"""What lies in a model folder while exports come, fail and are killed."""

import os
import subprocess
import sys

import pytest

from abe_tf.errors import InputError
from abe_tf.storage.locks import LOCK
from export.runtime import model_folder
from tests.conftest import ROOT


def write(beside, text):
    with open(os.path.join(beside, "saved_model.pb"), "w") as file:
        file.write(text)


def read(path):
    with open(os.path.join(path, "saved_model.pb")) as file:
        return file.read()


def listed(folder):
    """What lies in a folder, beside its lock."""
    return [name for name in os.listdir(folder) if name != LOCK]


def export(folder, text, version=None):
    with model_folder.incomplete(folder) as beside:
        write(beside, text)
        return model_folder.publish(beside, version)


def test_versions_count_up_and_can_be_named(tmp_path):
    folder = str(tmp_path / "models" / "abe")
    assert [os.path.basename(export(folder, text)) for text in "ab"] == ["1", "2"]
    export(folder, "c", 9)
    assert os.path.basename(export(folder, "d")) == "10"
    assert model_folder.versions(folder) == [1, 2, 9, 10]
    assert [read(os.path.join(folder, name)) for name in ("1", "9")] == ["a", "c"]
    assert os.stat(os.path.join(folder, "1")).st_mode & 0o055 == 0o055


def test_a_model_folder_that_is_made_is_for_everybody_to_read(tmp_path):
    folder = tmp_path / "models" / "abe"
    before = os.umask(0o077)
    try:
        export(str(folder), "a")
    finally:
        os.umask(before)
    for path in (folder.parent, folder, folder / "1"):
        assert path.stat().st_mode & 0o777 == 0o755
    # Somebody's own folder keeps what they gave it.
    folder.chmod(0o750)
    export(str(folder), "b")
    assert folder.stat().st_mode & 0o777 == 0o750


def test_a_version_that_exists_is_not_touched(tmp_path):
    path = export(tmp_path, "first")
    with pytest.raises(InputError, match="another export has just written"):
        export(tmp_path, "second", 1)
    assert read(path) == "first"
    assert listed(tmp_path) == ["1"]


def test_what_fails_leaves_nothing(tmp_path):
    with (
        pytest.raises(RuntimeError, match="no"),
        model_folder.incomplete(tmp_path) as beside,
    ):
        write(beside, "half")
        raise RuntimeError("no")
    assert listed(tmp_path) == []


def test_what_a_killed_export_left_is_swept_and_what_is_being_written_stays(tmp_path):
    program = (
        "import os, signal, sys\nfrom export.runtime import model_folder\n"
        "with model_folder.incomplete(sys.argv[1]) as beside:\n"
        "    open(os.path.join(beside, 'half'), 'w').close()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9
    (dead,) = listed(tmp_path)
    with model_folder.incomplete(tmp_path) as first:
        assert dead not in os.listdir(tmp_path)
        with model_folder.incomplete(tmp_path) as second:
            assert {os.path.basename(first), os.path.basename(second)} == {
                *listed(tmp_path)
            }
    assert listed(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"--export_dir .*Not a directory"),
        model_folder.incomplete(tmp_path / "file" / "abe"),
    ):
        pass
