"""What a run was made with: versions, revision, machine; no TensorFlow needed."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from typing import Any

_PACKAGES = (
    *("tensorflow", "keras", "tensorflow-addons", "tensorflow-datasets", "numpy"),
    "absl-py",
)


def describe(devices: Sequence[str]) -> dict[str, Any]:
    """All that a number may depend on and that can be written as JSON.

    Args:
      devices: What TensorFlow runs on, as it calls it.
    """
    return {
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "machine": {
            "processor": _processor(),
            "cpus": os.cpu_count(),
            "memory_gb": round(_memory() / 2**30, 1),
            "system": platform.platform(),
            "devices": list(devices),
        },
        "git_revision": _git_revision(),
    }


def _processor() -> str:
    """What the processor calls itself, where the system tells."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> int:
    """Bytes of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _git_revision() -> str | None:
    """Of the checkout this package lies in; `None` outside one."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        result = subprocess.run(
            command,
            cwd=os.path.dirname(os.path.abspath(__file__)),
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return result.stdout.strip() or None
