"""What a run was made with: versions, revision, machine; no TensorFlow needed."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from typing import Any

# The checkout, or what the package was installed into.
_ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
# As far as they are installed: the project may be a mere checkout, and TensorFlow 2.15
# goes with TensorFlow Addons, a newer one with tf-keras.
_PACKAGES = (
    *("abe-tf", "tensorflow", "keras", "tf-keras", "tensorflow-addons"),
    *("tensorflow-datasets", "numpy", "absl-py"),
)


def describe(devices: Sequence[str]) -> dict[str, Any]:
    """All that a number may depend on and that can be written as JSON.

    Args:
      devices: What TensorFlow runs on, as it calls it.
    """
    return {
        "versions": _versions(),
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


def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


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
    """Of the checkout that this package is; `None` where it was installed."""
    top = _git("rev-parse", "--show-toplevel")
    # An environment may lie in the checkout of another project.
    if top is None or os.path.realpath(top) != _ROOT:
        return None
    return _git("describe", "--always", "--dirty", "--abbrev=40")


def _git(*command: str) -> str | None:
    """What git says of the folder that this package lies in; `None` if nothing."""
    try:
        result = subprocess.run(
            ["git", *command], cwd=_ROOT, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return result.stdout.strip() or None
