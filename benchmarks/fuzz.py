"""Malformed requests without end against the local server.

    pip install -r benchmarks/requirements.txt
    python -m benchmarks.fuzz --model_dir=models/digits_abe4 --requests=10000

Schemathesis makes them from `openapi.yaml`, such that keep to it and such that break it
in one way or several. Every answer must be one of the contract's: no 5xx, JSON, an
error with its text. Prints the server's memory before and after; the first tenth of
the requests comes before the "before".
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

from absl import app, flags

from tests.helpers.served import Served

_MODEL = flags.DEFINE_string("model_dir", None, "The model folder.", required=True)
_REQUESTS = flags.DEFINE_integer("requests", 10_000, "At least so many.")
_SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "openapi.yaml")
_CHECKS = (
    *("not_a_server_error", "status_code_conformance"),
    *("content_type_conformance", "response_schema_conformance"),
)


def fuzz(origin: str, requests: int, seed: int) -> int:
    """Sends requests.

    Returns:
      How many.

    Raises:
      RuntimeError: An answer was none of the contract's; what it was is printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report.json")
        # Three of the operations have something to vary.
        result = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", _SCHEMA),
                *("--url", origin, "--phases", "coverage,fuzzing", "--mode", "all"),
                *("--max-examples", str(requests // 3 + 1), "--seed", str(seed)),
                *("--checks", ",".join(_CHECKS), "--continue-on-failure"),
                *("--workers", "4", "--report", "json", "--report-json-path", report),
            ],
            capture_output=True,
            text=True,
            cwd=folder,
            check=False,
        )
        if result.returncode:
            raise RuntimeError(result.stdout + result.stderr)
        with open(report, encoding="utf-8") as file:
            return json.load(file)["test_cases"]["generated"]


def main(_: list[str]) -> None:
    """Measures."""
    server = Served(_MODEL.value)
    try:
        first = fuzz(server.origin, _REQUESTS.value // 10, 0)
        before = server.memory()
        sent, seed = 0, 1
        while sent < _REQUESTS.value:
            sent += fuzz(server.origin, _REQUESTS.value - sent, seed)
            seed += 1
        print(
            f"{first} and {sent} requests, every answer as the contract has it; "
            f"memory {before:.0f} to {server.memory():.0f} MB"
        )
    finally:
        server.stop()


if __name__ == "__main__":
    app.run(main)
