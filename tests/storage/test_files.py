"""A file is whole or as it was before, whatever fails."""

import os
import resource
import stat

import pytest

from abe_tf.errors import InputError
from abe_tf.storage.files import check_writable, made, write_atomically, writing


def test_what_fails_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path):
    path = tmp_path / "results.json"
    write_atomically(str(path), "before")
    with pytest.raises(RuntimeError, match="broken off"), writing(str(path)) as file:
        file.write(b"half")
        raise RuntimeError("broken off")
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["results.json"]


def test_a_full_disk_is_one_line(tmp_path):
    """The limit on a file's size stands in for the disk: the same calls fail."""
    path = tmp_path / "results.json"
    write_atomically(str(path), "before")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(InputError, match="must be writable.*File too large"):
            write_atomically(str(path), b"x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["results.json"]


def test_two_writers_of_one_file_do_not_meet(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 1)
    path = str(tmp_path / "file")
    with writing(path) as first:
        with writing(path) as second:
            assert first.name != second.name
            second.write(b"second")
        first.write(b"first")
    with open(path, "rb") as file:
        assert file.read() == b"first"


def test_files_are_readable_as_the_user_wants_them(tmp_path):
    before = os.umask(0o022)
    try:
        write_atomically(str(tmp_path / "file"), "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "file").st_mode) == 0o644


def test_a_name_that_is_as_long_as_names_may_be(tmp_path):
    path = tmp_path / ("x" * 255)
    write_atomically(str(path), "text")
    assert path.read_text() == "text"


def test_folders_that_were_made_and_stay_empty_go(tmp_path):
    with made(str(tmp_path / "a" / "b")):
        assert (tmp_path / "a" / "b").is_dir()
    assert os.listdir(tmp_path) == []
    with made(str(tmp_path / "a" / "b")):
        (tmp_path / "a" / "file").touch()
    assert os.listdir(tmp_path / "a") == ["file"]
    check_writable("workdir", str(tmp_path / "c" / "d"))
    assert os.listdir(tmp_path) == ["a"]
