"""Locks are the operating system's: one holder, and free when it dies."""

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import textwrap

import pytest

from abe_tf.storage.locks import TakenError, claimed, locked
from tests.conftest import ROOT

# Holds a lock until it is killed; every such process has the id 1.
HOLDER = """
import os, sys, time
os.getpid = lambda: 1
from abe_tf.storage.locks import claimed
with claimed(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "lock")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_it_names_its_holder_and_is_free_the_moment_that_dies(
    tmp_path, holder, monkeypatch
):
    monkeypatch.setattr(os, "getpid", lambda: 1)
    path = str(tmp_path / "lock")
    taken = rf"process 1 on {socket.gethostname()}"
    with pytest.raises(TakenError, match=taken), claimed(path):
        pass
    holder.send_signal(signal.SIGKILL)
    assert holder.wait() == -signal.SIGKILL
    with claimed(path):
        pass


def test_who_waits_gets_it(tmp_path, holder):
    code = textwrap.dedent(
        """
        import sys
        from abe_tf.storage.locks import locked
        with locked(sys.argv[1]) as held:
            print(held)
        """
    )
    waiting = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "lock")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(timeout=1)
    holder.kill()
    assert waiting.communicate()[0] == "True\n"


def test_a_lock_of_a_file_that_was_removed_is_no_lock(tmp_path):
    path = str(tmp_path / "lock")
    with locked(path):
        os.remove(path)
        with locked(path, wait=False) as held, pytest.raises(TakenError):
            assert held
            with locked(path, wait=False):
                pass


def test_a_file_system_without_locks_is_said_once(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for _ in range(2):
        with locked(str(tmp_path / "lock")) as held:
            assert not held
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{str(tmp_path)!r} has no locks (No locks available)" in line
