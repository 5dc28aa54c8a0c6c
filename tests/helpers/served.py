"""A local server in a process of its own, for benchmarks and tests."""

from __future__ import annotations

import os
import pathlib
import re
import socket
import subprocess
import sys
import time

import requests

_ROOT = pathlib.Path(__file__).parent.parent.parent


class Served:
    """`export.local_server` on a free port, once it answers.

    Args:
      folder: The model folder.
      *flags: Further flags of the server.
      name: What addresses call the model.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *flags: str, name: str = "abe"
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
            text=True,
        )
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()
        for _ in range(300):
            try:
                requests.get(self.url, timeout=5)
            except requests.ConnectionError:
                time.sleep(0.2)
            else:
                return
        raise RuntimeError("The server did not start.")

    def memory(self) -> float:
        """What it holds, in megabytes."""
        path = f"/proc/{self.process.pid}/status"
        with open(path, encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024  # type: ignore[index]

    def stop(self) -> None:
        """Ends it, which it must do well."""
        self.process.terminate()
        assert self.process.wait(timeout=30) in (0, -15)
