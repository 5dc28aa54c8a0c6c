"""The local server under load, beside the bare SavedModel in a loop.

    apt-get install wrk
    python -m benchmarks.serving --model_dir=models/grocery --photo=PHOTO.jpg

Every request is one photo as a JPEG in base64. The peer is the same SavedModel through
the same C API, in a process that does nothing else, at each batch size; the two take
turns. Prints latency, images a second, and the server's memory before and after.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import tempfile

from absl import app, flags

from tests.helpers.served import Served

_MODEL = flags.DEFINE_string("model_dir", None, "The model folder.", required=True)
_PHOTO = flags.DEFINE_string("photo", None, "A photo.", required=True)
_SECONDS = flags.DEFINE_integer("seconds", 60, "Of each load.")
_CONNECTIONS = (1, 16)
_SIZES = "1,2,4,8,16,32"


def bare(folder: str) -> dict[int, float]:
    """Images a second of the model in a loop, by batch size."""
    versions = [name for name in os.listdir(_MODEL.value) if name.isdigit()]
    newest = os.path.join(_MODEL.value, max(versions, key=int))
    command = [sys.executable, "-m", "export.runtime.check", f"--model={newest}"]
    result = subprocess.run(
        [*command, f"--photos={folder}/photos", f"--measure={_SIZES}"],
        check=True,
        capture_output=True,
        text=True,
    )
    rates = json.loads(result.stdout.splitlines()[-1])["rates"]
    return {int(size): rate for size, rate in rates.items()}


def load(folder: str, url: str, connections: int) -> dict[str, float]:
    """What wrk says of some connections that ask without a pause."""
    result = subprocess.run(
        [
            *("wrk", "--latency", "-t1", f"-c{connections}", f"-d{_SECONDS.value}s"),
            *("--timeout", "30s", "-s", f"{folder}/post.lua"),
            f"{url}:predict",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    errors = re.search(r"Non-2xx.*: (\d+)", result)
    sockets = re.search(r"Socket errors: (.*)", result)
    return {
        "p50": _milliseconds(re.search(r"\n\s+50%\s+(\S+)", result)),
        "p99": _milliseconds(re.search(r"\n\s+99%\s+(\S+)", result)),
        "rate": float(re.search(r"Requests/sec:\s+(\S+)", result)[1]),  # type: ignore[index]
        "errors": int(errors[1]) if errors else 0,
        "sockets": sum(map(int, re.findall(r"\d+", sockets[1]))) if sockets else 0,
    }


def _milliseconds(found: re.Match | None) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", found[1]).groups()  # type: ignore
    return float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]


def main(_: list[str]) -> None:
    """Measures."""
    with tempfile.TemporaryDirectory() as folder, open(_PHOTO.value, "rb") as file:
        photo = file.read()
        os.mkdir(f"{folder}/photos")
        with open(f"{folder}/photos/0", "wb") as copy:
            copy.write(photo)
        encoded = base64.b64encode(photo).decode()
        body = json.dumps({"instances": [{"b64": encoded}]})
        with open(f"{folder}/post.lua", "w", encoding="ascii") as script:
            script.write(f"wrk.method = 'POST'\nwrk.body = '{body}'\n")
        rates = bare(folder)
        best = max(rates, key=lambda size: rates[size])
        alone = 1e3 / rates[1]
        print(f"bare: {', '.join(f'{s}: {r:.1f}' for s, r in rates.items())} images/s")
        server = Served(_MODEL.value)
        try:
            load(folder, server.url, 16)
            for connections in _CONNECTIONS:
                before = server.memory()
                found = load(folder, server.url, connections)
                print(
                    f"{connections} connection(s): p50 {found['p50']:.1f} ms, p99 "
                    f"{found['p99']:.1f} ms, {found['rate']:.1f} images/s, "
                    f"{found['rate'] / rates[best]:.2f} of the bare model at batch "
                    f"{best}; p50 {found['p50'] - alone:.1f} ms above it at batch 1; "
                    f"{found['errors']:.0f} errors of HTTP, "
                    f"{found['sockets']:.0f} of sockets, memory {before:.0f} to "
                    f"{server.memory():.0f} MB",
                    flush=True,
                )
        finally:
            server.stop()
        again = bare(folder)
        print(f"bare: {', '.join(f'{s}: {r:.1f}' for s, r in again.items())} images/s")


if __name__ == "__main__":
    app.run(main)
