"""What glibc does with memory that TensorFlow frees.

A training step asks for the same hundreds of megabytes again and again. By default
glibc hands what is freed back to the kernel, which then has to clear every page anew:
with TensorFlow 2.21 that can take nearly a third of the processors' time.
"""

from __future__ import annotations

import ctypes
import os
import platform

# Of <malloc.h>.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_NEVER = 2**31 - 1
# With these a user has chosen for himself.
_CHOSEN = ("MALLOC_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Has this process keep what it frees, until it ends.

    Returns:
      Whether it will: not where the C library is another than glibc, or where the
      environment has a variable of glibc's allocator, such as `MALLOC_PERTURB_=0`.
    """
    if any(name.startswith(_CHOSEN) for name in os.environ):
        return False
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # Mapped blocks would be handed back each for itself.
    return all([mallopt(_MMAP_MAX, 0), mallopt(_TRIM_THRESHOLD, _NEVER)])
