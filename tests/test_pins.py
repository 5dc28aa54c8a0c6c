"""Pins that were compiled may still not go together: numpy 1.26 and pyarrow 26."""

import importlib.metadata
import re
import subprocess
import sys

import packaging.requirements

from tests.conftest import ROOT

# Beside names that begin with `_`: an empty folder, and what TensorFlow loads itself.
_NOT_IMPORTED = {"third_party", "tensorflow_io_gcs_filesystem"}
_PINNED = re.compile(r"([a-z0-9][\w.-]*==[^\\]+)")
_IMPORTS = """
import importlib, sys, traceback
failed = []
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception:
        failed.append(name + ": " + traceback.format_exc())
if failed:
    sys.exit("\\n".join(failed))
"""


def pinned():
    """Names of the distributions in the lists that this environment is made from."""
    version = importlib.metadata.version("tensorflow")
    of = "requirements" if version.startswith("2.15.") else "requirements-2.21"
    for name in (f"{of}.txt", f"{of}-dev.txt"):
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            if found := _PINNED.match(line):
                requirement = packaging.requirements.Requirement(found[1])
                if requirement.marker is None or requirement.marker.evaluate():
                    yield requirement.name


def test_every_pinned_package_can_be_imported():
    modules = {}
    for module, owners in importlib.metadata.packages_distributions().items():
        for owner in owners:
            name = re.sub(r"[-_.]+", "-", owner).lower()
            modules.setdefault(name, set()).add(module)
    names = {
        module
        for name in pinned()
        for module in modules[name]
        if not module.startswith("_") and module not in _NOT_IMPORTED
    }
    assert {"tensorflow", "numpy", "pyarrow", "tensorflow_datasets"} <= names
    assert {"pillow_heif", "usearch", "playwright"} <= names
    result = subprocess.run(
        [sys.executable, "-c", _IMPORTS, *sorted(names)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
