"""Exports of one run beside each other: Recall@K and speed, as a server has them.

    python -m export.saved_model --workdir=RUN --export_dir=A
    python -m export.saved_model --workdir=RUN --export_dir=B --precision=bfloat16
    python -m benchmarks.export_precision --model_dir=A --model_dir=B --data_dir=PHOTOS

All photos of some classes, one folder a class, go through the signature `learners` of
the newest version of each model, in turns, through TensorFlow's C API. The cosines are
to the first model, the smallest over all photos and learners.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import numpy as np
from absl import app, flags

from export.runtime import c_api, model_folder

_MODELS = flags.DEFINE_multi_string("model_dir", None, "A model folder.", required=True)
_DATA = flags.DEFINE_string("data_dir", None, "One folder a class.", required=True)
_CLASSES = flags.DEFINE_string("classes", ":", "FIRST:END of the sorted classes.")
_BATCH = flags.DEFINE_integer("batch", 16, "Photos at once.")


def photos() -> Iterator[tuple[str, int]]:
    """Paths and labels."""
    first, end = (int(text) if text else None for text in _CLASSES.value.split(":"))
    names = sorted(entry.name for entry in os.scandir(_DATA.value) if entry.is_dir())
    for label, name in enumerate(names[first:end]):
        folder = os.path.join(_DATA.value, name)
        for file in sorted(os.listdir(folder)):
            yield os.path.join(folder, file), label


def main(_: list[str]) -> None:
    """Measures."""
    models = {}
    for folder in _MODELS.value:
        newest = str(model_folder.versions(folder)[-1])
        models[folder] = c_api.LoadedModel(os.path.join(folder, newest))
    paths, labels = zip(*photos(), strict=True)
    answers: dict[str, list[np.ndarray]] = {name: [] for name in models}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for start in range(0, len(paths), _BATCH.value):
        encoded = []
        for path in paths[start : start + _BATCH.value]:
            with open(path, "rb") as file:
                encoded.append(file.read())
        for name, model in models.items():
            begun = time.perf_counter()
            answer = model.run("learners", {"image_bytes": encoded})
            seconds[name].append((time.perf_counter() - begun) / len(encoded))
            answers[name].append(answer["learner_embeddings"])

    # Now that the C API has answered: these import TensorFlow.
    from abe_tf.retrieval.embedded import Embedded
    from abe_tf.retrieval.recall import measure_recall

    first = np.concatenate(answers[_MODELS.value[0]])
    for name, found in answers.items():
        embeddings = np.concatenate(found)
        recall = measure_recall(Embedded(embeddings, np.array(labels)), (1, 2, 4, 8))
        percents = " ".join(f"{value:.2f}" for value in recall.ensemble.values())
        print(
            f"{name}: {len(embeddings)} photos, recall@1, 2, 4, 8 {percents}, smallest "
            f"cosine {np.sum(embeddings * first, -1).min():.5f}, median "
            f"{1 / np.median(seconds[name]):.1f} images/s in batches of {_BATCH.value}"
        )


if __name__ == "__main__":
    app.run(main)
