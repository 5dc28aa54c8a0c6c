"""The workers that train together, as TF_CONFIG tells them; no TensorFlow needed."""

from __future__ import annotations

import dataclasses
import json
import os

from abe_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class Cluster:
    """This process among those that train together.

    Attributes:
      workers: Number of workers; 0 without TF_CONFIG.
      is_chief: Whether this one prints and writes: the chief, or else the first worker.
    """

    workers: int
    is_chief: bool

    @property
    def several(self) -> bool:
        """Whether there is another process."""
        return self.workers > 1


def from_environment() -> Cluster:
    """Reads TF_CONFIG, `{"cluster": {"worker": [..]}, "task": {"type", "index"}}`.

    Raises:
      InputError: It is not of that form.
    """
    text = os.environ.get("TF_CONFIG")
    if not text:
        return Cluster(0, True)
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        chiefs, workers = len(cluster.get("chief", [])), len(cluster.get("worker", []))
        kind, index = task["type"], int(task["index"])
        of_kind = len(cluster[kind])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _malformed(text) from None
    if not 0 <= index < of_kind:
        raise _malformed(text)
    first = "chief" if chiefs else "worker"
    return Cluster(chiefs + workers, kind == first and index == 0)


def _malformed(text: str) -> InputError:
    return InputError(
        "TF_CONFIG must be JSON with the addresses of all workers and this one's task, "
        'as {"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", '
        f'"index": 0}}}}. Received: {text}.'
    )
