"""Command lines run as a user runs them, without importing TensorFlow each time.

A process that has imported everything, and has run nothing, forks for each command; the
child runs the module as `python -m` does. Importing takes as long as most commands do.

python -m tests.helpers.commands     serves: a request a line on standard input, an
                                     answer a line on standard output, both JSON
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from typing import Any

# Seconds; a command that hangs is a failure, and not the end of all tests.
_PATIENCE = 900
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def look_for_garbage_less_often() -> None:
    """Of a process that has imported what it needs.

    Tracing makes millions of objects; looking through those of all tests before, as
    often as Python does, takes a tenth of the time.
    """
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


class Commands:
    """Starts the process at the first command, and asks it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None
        self._lock = threading.Lock()

    def run(
        self, module: str, *flags: object, cwd: str | os.PathLike[str] = _ROOT
    ) -> subprocess.CompletedProcess[str]:
        """As `python -m MODULE FLAGS`, in the checkout unless told otherwise."""
        with tempfile.TemporaryDirectory() as folder, self._lock:
            asked = {
                "module": module,
                "flags": list(map(str, flags)),
                "into": folder,
                "cwd": os.fspath(cwd),
            }
            process = self._started()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            status = json.loads(self._answer(process))["status"]
            texts = []
            for name in ("stdout", "stderr"):
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8", errors="surrogateescape") as file:
                    texts.append(file.read())
        return subprocess.CompletedProcess([module, *flags], status, *texts)

    def _answer(self, process: subprocess.Popen) -> str:
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], _PATIENCE)[0]:
            os.killpg(process.pid, signal.SIGKILL)
            raise TimeoutError(f"a command took more than {_PATIENCE} seconds")
        return process.stdout.readline()

    def _started(self) -> subprocess.Popen:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.helpers.commands"],
                cwd=_ROOT,
                # For what a command starts, wherever that stands.
                env={**os.environ, "PYTHONPATH": _ROOT},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        return self._process

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.communicate()


def _serve() -> None:
    _import()
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(_run(asked))
        _, status = os.waitpid(child, 0)
        answer = {"status": os.waitstatus_to_exitcode(status)}
        print(json.dumps(answer), flush=True)


def _import() -> None:
    # What the commands import once their flags are checked.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in (
        *("abe_tf.session.session", "abe_tf.reports.measured", "abe_tf.reports.page"),
        *("abe_tf.photo_index.reembedding", "abe_tf.data.contact_sheet"),
        *("export.publish.galleries", "export.publish.verification"),
        *("export.publish.warmup_photos", "export.publish.serving_files"),
        # At the first of what needs it.
        *("sklearn.cluster", "matplotlib.backends.backend_agg", "keras.src.saving"),
    ):
        importlib.import_module(name)
    look_for_garbage_less_often()


def _run(asked: dict[str, Any]) -> int:
    """Runs a command in the child; its exit status."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        path = os.path.join(asked["into"], name)
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(asked["cwd"])
    sys.argv = [asked["module"], *asked["flags"]]
    try:
        runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as error:
        status = _status(error.code)
    except BaseException:  # noqa: BLE001  (as Python ends)
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def _status(code: object) -> int:
    if isinstance(code, int):
        return code
    if code is None:
        return 0
    print(code, file=sys.stderr)
    return 1


if __name__ == "__main__":
    _serve()
