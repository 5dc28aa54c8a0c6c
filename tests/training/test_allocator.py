"""Memory that training keeps between its steps."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# What stays resident, in MB, of 64 MB and 1 MB that were written and freed.
_SCRIPT = """
import ctypes, os, sys
from abe_tf.training.allocator import keep_freed_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

kept = sys.argv[1] == "keep" and keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
before = resident()
blocks = []
for size in (64 << 20, 1 << 20):
    blocks.append(libc.malloc(size))
    ctypes.memset(blocks[-1], 1, size)
held = resident() - before
for block in blocks[::-1]:
    libc.free(block)
print(int(kept), held, resident() - before)
"""


def _run(argument: str, **environment: str) -> tuple[bool, float, float]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    clean.pop("GLIBC_TUNABLES", None)
    printed = subprocess.run(
        [sys.executable, "-c", _SCRIPT, argument],
        env={**clean, **environment},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    return printed[0] == "1", float(printed[1]), float(printed[2])


def test_what_is_freed_stays() -> None:
    kept, held, after = _run("keep")
    assert kept
    assert 64 < held < 68
    assert 64 < after < 68


@pytest.mark.parametrize(
    ("argument", "environment"), [("leave", {}), ("keep", {"MALLOC_PERTURB_": "0"})]
)
def test_otherwise_glibc_hands_it_back(
    argument: str, environment: dict[str, str]
) -> None:
    kept, held, after = _run(argument, **environment)
    assert not kept
    assert 64 < held < 68
    assert after < 4
