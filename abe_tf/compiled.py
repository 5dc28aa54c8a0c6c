"""Loops that numba compiles, for whoever has one."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Literal

import numba


def compiled(
    function: Callable,
    error_model: Literal["python", "numpy"] = "python",
    in_any_order: bool = False,
) -> Callable:
    """A function in machine code, which runs without the interpreter's lock.

    It is kept beside its file, where that can be written: compiling takes seconds.

    Args:
      function: A function of numbers and arrays.
      error_model: Whether a division by zero raises, or gives what NumPy gives.
      in_any_order: Whether sums may be added up in any order, several terms at once.
    """
    file = sys.modules[function.__module__].__file__ or ""
    kept = os.access(os.path.dirname(file), os.W_OK)
    return numba.njit(
        nogil=True,
        cache=kept,
        error_model=error_model,
        fastmath={"reassoc", "nsz", "contract"} if in_any_order else False,
    )(function)


as_numpy = functools.partial(compiled, error_model="numpy")
