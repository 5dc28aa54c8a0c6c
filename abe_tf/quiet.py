"""TensorFlow's loading without the lines that it writes whatever it was told.

TensorFlow 2.21 says on stderr that there is no GPU while its libraries are loaded,
before TF_CPP_MIN_LOG_LEVEL counts. In those lines a command's own one would drown;
TF_CPP_MIN_LOG_LEVEL=0 brings them back.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import types
from collections.abc import Iterator, Sequence

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


def tensorflow() -> None:
    """Has TensorFlow loaded in silence by whatever imports it first."""
    if "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _Finder())


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Inside, nothing that the process writes to stderr is seen.

    What Python raises is: it is told outside.
    """
    try:
        kept = os.dup(2)
    except OSError:  # there is no stderr
        yield
        return
    try:
        if os.environ.get(_LEVEL) != "0":
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds TensorFlow where the others find it, once."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Python's hook."""
        if fullname != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_in_silence(module: types.ModuleType) -> None:
                with silence():
                    load(module)

            spec.loader.exec_module = load_in_silence  # type: ignore[method-assign]
        return spec
