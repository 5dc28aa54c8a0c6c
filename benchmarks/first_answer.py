"""How long an export's first answer takes, with and without optimized decoders.

    python -m benchmarks.first_answer --model_dir=models/digits_abe4

A server optimizes a graph for each signature when that is first asked; exports keep the
optimizer from the functions that decode (`export.publish.unoptimized`). Here the newest
version answers, and a copy of it that lacks those marks, each in fresh processes and in
turns. Printed are processor seconds from loading to the first answers, and their ratio.
"""

from __future__ import annotations

import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

from absl import app, flags

_MODEL_DIR = flags.DEFINE_string("model_dir", None, "a model folder", required=True)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "how often each answers")
_ANSWER = """
import sys, time
from export.runtime.c_api import LoadedModel
model = LoadedModel(sys.argv[1])
loaded, photo = time.process_time(), sys.stdin.buffer.read()
for name in ("serving_default", "learners"):
    model.run(name, {"image_bytes": [photo]})
print(time.process_time() - loaded)
"""


def without_marks(version: str, folder: str) -> str:
    """A copy of a version whose decoders a server optimizes."""
    from tensorflow.core.protobuf import saved_model_pb2

    from export.publish.unoptimized import MARK

    copy = shutil.copytree(version, os.path.join(folder, "copy"))
    path = os.path.join(copy, "saved_model.pb")
    with open(path, "rb") as file:
        saved = saved_model_pb2.SavedModel.FromString(file.read())
    for meta in saved.meta_graphs:
        for function in meta.graph_def.library.function:
            function.attr.pop(MARK, None)
    with open(path, "wb") as file:
        file.write(saved.SerializeToString())
    return copy


def seconds(version: str, photo: bytes) -> float:
    """Processor seconds of the first answers, in a process of its own."""
    answer = subprocess.run(
        [sys.executable, "-c", _ANSWER, version],
        input=photo,
        stdout=subprocess.PIPE,
        check=True,
    )
    return float(answer.stdout)


def main(_: list[str]) -> None:
    """Measures in turns."""
    from PIL import Image

    from export.runtime import model_folder

    newest = str(model_folder.versions(_MODEL_DIR.value)[-1])
    version = os.path.join(_MODEL_DIR.value, newest)
    file = io.BytesIO()
    Image.new("RGB", (640, 480), (90, 140, 60)).save(file, "JPEG")
    with tempfile.TemporaryDirectory() as folder:
        copy = without_marks(version, folder)
        times: list[tuple[float, float]] = [
            (seconds(version, file.getvalue()), seconds(copy, file.getvalue()))
            for _ in range(_ROUNDS.value)
        ]
    ours, optimized = zip(*times, strict=True)
    ratios = sorted(one / other for one, other in times)
    print(f"as exported        {statistics.median(ours):.2f} s")
    print(f"decoders optimized {statistics.median(optimized):.2f} s")
    print(
        f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}), "
        f"{_ROUNDS.value} rounds"
    )


if __name__ == "__main__":
    app.run(main)
