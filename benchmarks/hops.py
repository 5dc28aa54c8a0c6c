"""How many files must a reader visit to follow a value?

    python -m benchmarks.hops

Two values are followed through the calls that Python makes: the bytes of an image to
the pixels that the network sees, and learner embeddings to the table of results. A hop
is a function of one file that calls one of another; two files go back and forth where
each calls the other.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import tensorflow as tf

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def hops(work: Callable[[], Any]) -> tuple[int, int, list[str]]:
    """Calls from file to file of the project while something runs.

    Returns:
      Distinct calls of a function into another file, the number of files, and pairs of
      files that call each other.
    """
    calls: set[tuple[str, str, str, str]] = set()

    def look(frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or not _is_ours(frame):
            return
        caller = frame.f_back
        while caller is not None and not _is_ours(caller):
            caller = caller.f_back
        if caller is not None:
            calls.add((*_place(caller), *_place(frame)))

    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(None)
    between = {call for call in calls if call[0] != call[2]}
    pairs = {(one, other) for one, _, other, _ in between}
    mutual = [f"{a} and {b}" for a, b in sorted(pairs) if a < b and (b, a) in pairs]
    return len(between), len({file for pair in pairs for file in pair}), mutual


def _place(frame: FrameType) -> tuple[str, str]:
    path = os.path.relpath(frame.f_code.co_filename, ROOT)
    return path, frame.f_code.co_qualname


def _is_ours(frame: FrameType) -> bool:
    path = frame.f_code.co_filename
    return path.startswith((f"{ROOT}/abe_tf/", f"{ROOT}/export/"))


def pixels() -> None:
    """An image's bytes to pixels, as evaluation and export have it."""
    from abe_tf.data.pixels.preprocessing import Preprocessing

    preprocessing = Preprocessing(32, 40, random_flip=False)
    jpeg = tf.io.encode_jpeg(np.zeros([60, 50, 3], np.uint8))
    tf.function(preprocessing.for_evaluation, autograph=False)(jpeg)


def results() -> None:
    """Learner embeddings to what results.json and the table hold."""
    from abe_tf.retrieval import evaluation
    from abe_tf.retrieval.archive import Archive
    from abe_tf.retrieval.embedded import Embedded

    rng = np.random.default_rng(0)
    x = rng.normal(size=[60, 2, 8]).astype(np.float32)
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    names = tuple(map(str, range(12)))
    archive = Archive(Embedded(x, np.arange(60) % 12), None, names, {})
    evaluation.evaluate(archive, (1, 2), 16, False).as_json("none")


def main() -> None:
    """Prints the hops of both."""
    for name, work in (("bytes to pixels", pixels), ("embeddings to table", results)):
        count, files, mutual = hops(work)
        forth = ", ".join(mutual) or "none"
        print(f"{name}: {count} hops between {files} files; back and forth: {forth}")


if __name__ == "__main__":
    main()
