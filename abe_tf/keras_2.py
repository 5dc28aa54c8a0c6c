"""Keras 2 on every TensorFlow, chosen before TensorFlow is imported.

Up to 2.15 `tf.keras` is Keras 2. From 2.16 on it is Keras 3, whose networks, optimizers
and checkpoints are others, unless TF_USE_LEGACY_KERAS is set when TensorFlow is
imported: then it is the package tf-keras, Keras 2 kept up with TensorFlow, one release
for each of TensorFlow's minor versions.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
from typing import NoReturn

_VARIABLE = "TF_USE_LEGACY_KERAS"
_YES = ("1", "true", "True")
# What TensorFlow is installed as.
_TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-rocm", "tf-nightly")
_OLDEST, _WITH_KERAS_3 = (2, 15), (2, 16)


def choose() -> None:
    """Has TensorFlow use Keras 2 when it is imported.

    Raises:
      ImportError: What is installed does not fit together, or the process has
        TensorFlow with Keras 3 already. A command ends with that one line instead.
    """
    installed = _version(*_TENSORFLOWS)
    if installed is None:  # its import will say so
        return
    if _release(installed) < _OLDEST:
        _refuse(f"TensorFlow must be 2.15 or newer. Received: {installed}.")
    if _release(installed) < _WITH_KERAS_3:
        keras = _version("keras")
        if keras is not None and _release(keras) >= (3, 0):
            _refuse(
                f"TensorFlow {installed} must have Keras 2 beside it. Received: keras "
                f"{keras}. Install keras=={_minor(installed)}.*."
            )
        if _version("tf-keras") is None:
            # It names a package that is not there, and is not needed.
            os.environ.pop(_VARIABLE, None)
        return
    legacy = _version("tf-keras")
    if legacy is None or _release(legacy) != _release(installed):
        _refuse(
            "TensorFlow 2.16 and newer needs tf-keras of its own minor version. "
            f"Received: tensorflow {installed} and tf-keras {legacy or 'none'}. "
            f"Install tf-keras=={_minor(installed)}.*."
        )
    wanted = os.environ.setdefault(_VARIABLE, "1")
    if wanted not in _YES:
        _refuse(
            f"{_VARIABLE} must be 1 or not set: abe_tf uses Keras 2. "
            f"Received: {wanted!r}. Unset it."
        )
    if "tensorflow" in sys.modules and _has_keras_3():
        _refuse(
            "abe_tf must be imported before TensorFlow's Keras is: it uses Keras 2. "
            "Received: a process whose tf.keras is Keras 3. Import abe_tf first, or "
            f"set {_VARIABLE}=1."
        )


def _has_keras_3() -> bool:
    import tensorflow as tf

    # tf-keras does not tell its version there.
    return getattr(tf.keras, "__version__", "2").startswith("3")


def _version(*names: str) -> str | None:
    """Version of the first of these packages that is installed."""
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _release(version: str) -> tuple[int, ...]:
    """The major and the minor version."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _minor(version: str) -> str:
    return ".".join(map(str, _release(version)))


def _refuse(reason: str) -> NoReturn:
    # "-m" while Python looks for the module of a command.
    if sys.argv[:1] == ["-m"] or os.path.basename("".join(sys.argv[:1])) == "abe-tf":
        sys.exit(f"abe_tf: {reason}")
    raise ImportError(reason)
