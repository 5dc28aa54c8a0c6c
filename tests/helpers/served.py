"""Servers in processes of their own, for benchmarks and tests."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import IO

import requests

_ROOT = pathlib.Path(__file__).parent.parent.parent


@contextlib.contextmanager
def started(
    *command: str | os.PathLike[str],
    cwd: str | os.PathLike[str] = _ROOT,
    env: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """A server that says on standard error where it is: that address, once it does."""
    process = subprocess.Popen(
        command, cwd=cwd, env=env, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = []
    try:
        for line in process.stderr:
            said.append(line)
            address = re.search(r"http://[\w.]+:\d+/", line)
            if address:
                yield address[0]
                break
        else:
            raise AssertionError("".join(said))
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors, errors


class Served:
    """`export.local_server` on a free port, once it answers.

    Args:
      folder: The model folder.
      *flags: Further flags of the server.
      name: What addresses call the model.
      wait: Whether a version must be available.
      stderr: Where its standard error goes.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *flags: str,
        name: str = "abe",
        wait: bool = True,
        stderr: IO[str] | None = None,
    ) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port: int = found.getsockname()[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        self.url = f"{self.origin}/v1/models/{name}"
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "export.local_server"),
                *(f"--model_dir={folder}", f"--port={self.port}"),
                *(f"--model_name={name}", *flags),
            ],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()
        for _ in range(300):
            states = self.states()
            if not wait or (
                "AVAILABLE" in states and not {"START", "LOADING"} & {*states}
            ):
                return
            time.sleep(0.2)
        raise RuntimeError("The server did not start.")

    def states(self) -> list[str]:
        """What it tells of its versions; nothing where it does not answer."""
        try:
            answer = requests.get(self.url, timeout=5).json()
        except requests.ConnectionError:
            return []
        return [one["state"] for one in answer.get("model_version_status", [])]

    def memory(self) -> float:
        """What it holds, in megabytes."""
        path = f"/proc/{self.process.pid}/status"
        with open(path, encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024  # type: ignore[index]

    def stop(self) -> None:
        """Ends it, which it must do well."""
        self.process.terminate()
        assert self.process.wait(timeout=30) == 0
