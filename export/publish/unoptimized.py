"""Keeps TensorFlow's graph optimizer from the functions that decode image files.

A server optimizes a graph for each signature when that is first asked. Of the time most
goes into the hundred small functions of the decoders, each optimized apart, and nothing
comes of it: they answer to the bit, and as fast, as before.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from tensorflow.core.framework import attr_value_pb2, function_pb2
from tensorflow.core.protobuf import saved_model_pb2

# TensorFlow's own. The optimizer (grappler's MetaOptimizer) leaves functions that bear
# it to tf.data, whose they are.
MARK = "_tf_data_function"


def leave_as_they_are(path: str, prefix: str) -> None:
    """Marks a function of a SavedModel, and all that it calls.

    Args:
      path: The version's folder.
      prefix: Name of the function in the graph but for its number, which
        `tf.saved_model.save` changes.

    Raises:
      ValueError: There is not one such function.
    """
    file_name = os.path.join(path, "saved_model.pb")
    with open(file_name, "rb") as file:
        saved = saved_model_pb2.SavedModel.FromString(file.read())
    (meta,) = saved.meta_graphs
    by_name = {one.signature.name: one for one in meta.graph_def.library.function}
    first = [name for name in by_name if name.removeprefix(prefix).isdecimal()]
    if len(first) != 1:
        raise ValueError(f"functions {prefix!r} in {path!r}: {first}")
    for name in _reached(by_name, first[0]):
        by_name[name].attr[MARK].b = True
    # Nothing reads the folder yet; it is renamed once it is whole.
    with open(file_name, "wb") as file:
        file.write(saved.SerializeToString(deterministic=True))
    _write_fingerprint(path)


def _reached(by_name: dict[str, function_pb2.FunctionDef], first: str) -> Iterator[str]:
    waiting, seen = [first], {first}
    while waiting:
        name = waiting.pop()
        yield name
        for node in by_name[name].node_def:
            for called in _called(node.attr.values()):
                if called in by_name and called not in seen:
                    seen.add(called)
                    waiting.append(called)


def _called(attributes: Iterable[attr_value_pb2.AttrValue]) -> Iterator[str]:
    for attribute in attributes:
        if attribute.HasField("func"):
            yield attribute.func.name
        yield from (function.name for function in attribute.list.func)


def _write_fingerprint(path: str) -> None:
    """Writes fingerprint.pb anew, which holds a checksum of the graph."""
    # Not public; `tf.saved_model.save` ends with it.
    from tensorflow.python.saved_model.fingerprinting_utils import write_fingerprint

    write_fingerprint(path)
