"""Loads a SavedModel as a server does and lets it answer: the export's judge.

Started by the export as a process of its own, without Python TensorFlow. Prints one
line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from absl import app, flags

from export.runtime import c_api, c_library, messages

# They reach out of the graph, or the server refuses them.
FORBIDDEN = ("PyFunc", "PyFuncStateless", "EagerPyFunc", "ReadFile", "WriteFile")
_XLA = "_XlaMustCompile"
_SECONDS = 0.5

_MODEL = flags.DEFINE_string("model", None, "The version's folder.", required=True)
_PHOTOS = flags.DEFINE_string("photos", None, "A folder of image files.", required=True)
_WARMUP = flags.DEFINE_string(
    "warmup", None, "Such a folder, of a server's warmup.", required=True
)
_PIXELS = flags.DEFINE_string("pixels", None, "Such images, preprocessed (.npy).")
_ANSWERS = flags.DEFINE_string("answers", None, "Where answers are written (.npz).")
_BATCHES = flags.DEFINE_list("batches", [], "Batch sizes that must be answered.")
_MEASURE = flags.DEFINE_list("measure", [], "Batch sizes whose speed is measured.")


def forbidden_operations(path: str) -> list[str]:
    """What a graph must not hold, by reading saved_model.pb.

    Args:
      path: The version's folder.
    """
    with open(os.path.join(path, "saved_model.pb"), "rb") as file:
        saved = messages.SavedModel.FromString(file.read())
    known = c_library.known_operations()
    forbidden = set()
    for meta in saved.meta_graphs:
        for node in _nodes(meta.graph_def):
            if node.op in FORBIDDEN or node.op not in known:
                forbidden.add(node.op)
            forbidden |= {_XLA for entry in node.attr if _compiles(entry)}
        for function in meta.graph_def.library.function:
            forbidden |= {_XLA for entry in function.attr if _compiles(entry)}
    return sorted(forbidden)


def _nodes(graph: Any) -> Iterator[Any]:
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def _compiles(entry: Any) -> bool:
    # AttrValue.b, field 5, true.
    return entry.key == _XLA and entry.value == b"\x28\x01"


def _files(folder: str) -> list[bytes]:
    photos = []
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            photos.append(file.read())
    return photos


def _measure(model: c_api.LoadedModel, photos: list[bytes]) -> dict[int, float]:
    """Images a second by batch size."""
    rates = {}
    for size in map(int, _MEASURE.value):
        batch = [photos[i % len(photos)] for i in range(size)]
        model.run("serving_default", {"image_bytes": batch})
        start, runs = time.perf_counter(), 0
        while time.perf_counter() - start < _SECONDS or runs < 2:
            model.run("serving_default", {"image_bytes": batch})
            runs += 1
        rates[size] = size * runs / (time.perf_counter() - start)
    return rates


def main(_: list[str]) -> None:
    """Answers, or exits with 1 and a line that says why not."""
    try:
        model = c_api.LoadedModel(_MODEL.value)
        wrong = forbidden_operations(_MODEL.value)
        if wrong:
            sys.exit(f"forbidden operations: {', '.join(wrong)}")
        photos = _files(_PHOTOS.value)
        pixels = np.load(_PIXELS.value) if _PIXELS.value else None
        answers = {}
        for name, signature in model.signatures.items():
            for size in map(int, _BATCHES.value):
                places = np.arange(size) % len(photos)
                if "pixels" in signature.inputs:
                    if pixels is None:
                        continue
                    fed: Any = {"pixels": pixels[places]}
                else:
                    fed = {"image_bytes": [photos[place] for place in places]}
                for output, value in model.run(name, fed).items():
                    if value.dtype == object:
                        value = value.astype("S")
                    answers[f"{name}/{output}/{size}"] = value
        if _ANSWERS.value:
            np.savez(_ANSWERS.value, **answers)
        print(json.dumps({"rates": _measure(model, _files(_WARMUP.value))}))
    except c_library.GraphError as error:
        sys.exit(f"{error}".replace("\n", " ")[:2000])


if __name__ == "__main__":
    app.run(main)
