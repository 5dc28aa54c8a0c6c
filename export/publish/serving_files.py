"""What lies beside a SavedModel for the people who run TensorFlow Serving."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

from abe_tf.config.evaluation import SPLITS
from abe_tf.errors import InputError
from abe_tf.layout import Layout
from abe_tf.models.ensemble import layout_of
from abe_tf.retrieval import calibration
from abe_tf.retrieval.calibration import Calibration
from abe_tf.runs import machine, measurements
from abe_tf.runs.folder import RunFolder
from abe_tf.runs.trained import TrainedModel
from abe_tf.storage.files import read_lines, write_atomically
from export.config.export import ExportConfig
from export.publish.signatures import SearchGallery
from export.runtime import model_folder

# A batch is worth waiting for while it brings this much of the best throughput.
_WORTH = 0.95


def batch_sizes(rates: dict[int, float]) -> list[int]:
    """Allowed batch sizes: powers of two up to the smallest that is nearly the best."""
    best = max(rates.values())
    largest = min(size for size, rate in rates.items() if rate >= _WORTH * best)
    return [size for size in sorted(rates) if size <= largest]


def write_version(
    path: str,
    photos: Sequence[bytes],
    sizes: Sequence[int],
    rates: dict[int, float],
    card: dict[str, Any],
) -> None:
    """Writes warmup records and the model card into a version's folder.

    Args:
      path: The version's folder.
      photos: Image files of the warmup records, that the version was measured with.
      sizes: Batch sizes of the records.
      rates: Images a second by batch size.
      card: What else the model card says.

    Raises:
      InputError: The records are not read as they were written.
    """
    os.makedirs(os.path.join(path, os.path.dirname(model_folder.WARMUP)), exist_ok=True)
    batches = [[photos[i % len(photos)] for i in range(size)] for size in sizes]
    with tf.io.TFRecordWriter(os.path.join(path, model_folder.WARMUP)) as writer:
        for batch in batches:
            request = predict_pb2.PredictRequest(
                model_spec=model_pb2.ModelSpec(signature_name="serving_default"),
                inputs={"image_bytes": tf.make_tensor_proto(batch)},
            )
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())
    if read_warmup(path) != batches:
        raise InputError(f"Warmup records must be read as written. Received: {path}.")
    content = {
        **card,
        "images_per_second": {str(size): rate for size, rate in rates.items()},
        "allowed_batch_sizes": list(sizes),
        "sha256": checksum(path),
    }
    text = json.dumps(content, indent=2) + "\n"
    write_atomically(os.path.join(path, "model_card.json"), text)


def write_calibration(path: str, fitted: Calibration | None) -> None:
    """Writes into a version's folder how sure its distances make, if that is known."""
    if fitted is not None:
        write_atomically(os.path.join(path, calibration.FILE), fitted.text())


def read_warmup(path: str) -> list[list[bytes]]:
    """The batches of a version's warmup records."""
    batches = []
    for record in tf.data.TFRecordDataset(os.path.join(path, model_folder.WARMUP)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        fed = log.predict_log.request.inputs["image_bytes"]
        batches.append(list(tf.make_ndarray(fed)))
    return batches


def checksum(path: str) -> str:
    """SHA-256 over the graph and the variables of a version, by name."""
    digest = hashlib.sha256()
    for folder, _, names in sorted(os.walk(path)):
        for name in sorted(names):
            if name.startswith(("saved_model.pb", "variables.")):
                digest.update(name.encode())
                with open(os.path.join(folder, name), "rb") as file:
                    while block := file.read(2**20):
                        digest.update(block)
    return digest.hexdigest()


def model_card(
    folder: RunFolder,
    model: TrainedModel,
    export: ExportConfig,
    gallery: SearchGallery | None,
) -> dict[str, Any]:
    """What there is to know of a model, for people and programs."""
    flags = read_lines(folder.flagfile)
    layout = layout_of(model.network)
    # As it was before learners could differ.
    shape = {"dimensions_of_a_learner": layout.dim, **layout.values()}
    del shape["dim"]
    return {
        "model": model.network.name,
        "checkpoint": model.checkpoint,
        "fingerprint": model.fingerprint(),
        "precision": export.precision,
        **shape,
        "dataset": model.data.dataset,
        "recall": _recall(folder, model),
        "flags": flags,
        "exported_with": machine.describe([]),
        "gallery_images": len(gallery.ids) if gallery else 0,
        "max_pixels": model.preprocessing.max_pixels,
        "distances": _distances(layout),
    }


def _distances(layout: Layout) -> str:
    """What distances of the answers mean."""
    learners = layout.learners
    if layout.is_equal:
        return (
            f"`embedding` holds {learners} learners side by side, each of unit length: "
            f"its own length is sqrt({learners}). Cosine or Euclidean distance on it "
            "ranks by the sum of the learners' squared distances. The paper's ensemble "
            "distance, the mean of their plain distances, needs `learners` or `search`."
        )
    dims, lengths = (
        ", ".join(f"{value:.6g}" for value in values)
        for values in (layout.dims, layout.lengths)
    )
    return (
        f"`embedding` holds {learners} learners side by side, of {dims} dimensions and "
        f"of length {lengths}: how much each counts. Cosine or Euclidean distance on "
        "it ranks by the sum of the learners' squared distances, weighted by the "
        "squares of these. The ensemble distance, the mean of the plain distances "
        "between vectors of these lengths, which is that of vectors of unit length "
        "weighted by them, needs `learners`, where shorter learners are filled up "
        "with zeros, or `search`."
    )


def _recall(folder: RunFolder, model: TrainedModel) -> dict[str, Any] | None:
    """What evaluation measured of these very weights, if it did."""
    results = measurements.read(folder.results)
    # Reads all weights: once.
    ours = model.fingerprint() if results else ""
    for split in SPLITS:
        recalls = results.get(measurements.key(split, model.checkpoint), {})
        if recalls.get("fingerprint", ours) != ours:
            continue
        kinds: dict[str, Any] = {
            name: recalls[name]
            for name in ("ensemble", "concatenated")
            if name in recalls
        }
        if kinds:
            return {"split": split, "checkpoint": model.checkpoint, **kinds}
    return None


def write_configurations(export_dir: str, version: str, model_name: str) -> None:
    """Writes the server's configuration files into the model folder.

    Args:
      export_dir: The model folder.
      version: Path of the version that was just published.
      model_name: What the server calls the model.

    Raises:
      InputError: They cannot be written.
    """
    # Of several exports at once, the last one to write has seen all versions.
    with model_folder.changing(export_dir):
        versions = model_folder.versions(export_dir)
        # Of the newest that states them: another tool's version may be newer.
        newest = [os.path.join(export_dir, str(one)) for one in reversed(versions)]
        sizes = next(filter(None, map(_stated_sizes, [*newest, version])))
        for name, content in (
            ("models.config", models_config(versions, model_name)),
            ("batching.config", batching_config(sizes)),
            ("monitoring.config", _MONITORING),
        ):
            path = os.path.join(export_dir, name)
            write_atomically(path, content)
            os.chmod(path, 0o644)


def _stated_sizes(version: str) -> list[int]:
    """Allowed sizes of batches by a version's card; none where that does not tell."""
    try:
        with open(os.path.join(version, "model_card.json"), encoding="utf-8") as file:
            sizes = json.load(file)["allowed_batch_sizes"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    found = isinstance(sizes, list) and all(type(size) is int for size in sizes)
    return sizes if found else []


def models_config(versions: Sequence[int], model_name: str) -> str:
    """Serves the newest three; the last but one is `stable`, the last `canary`.

    With one version there is no canary. The server refuses a file that moves a label
    to a version which is not loaded, and before it loads what the same file lists. So
    none is listed: the server finds a new version by itself, and when it reads the file
    again, the labels move; until then they name versions that stay loaded.
    """
    labels = dict(zip(("stable", "canary"), versions[-2:], strict=False))
    return (
        "model_config_list {\n  config {\n"
        f'    name: "{model_name}"\n'
        f'    base_path: "/models/{model_name}"\n'
        '    model_platform: "tensorflow"\n'
        "    model_version_policy { latest { num_versions: 3 } }\n"
        + "".join(
            f'    version_labels {{ key: "{label}" value: {version} }}\n'
            for label, version in labels.items()
        )
        + "  }\n}\n"
    )


def batching_config(sizes: Sequence[int]) -> str:
    """Batching up to the measured size; the last allowed size is the largest batch."""
    threads = os.cpu_count() or 1
    return (
        f"max_batch_size {{ value: {sizes[-1]} }}\n"
        "batch_timeout_micros { value: 2000 }\n"
        f"num_batch_threads {{ value: {threads} }}\n"
        "max_enqueued_batches { value: 100 }\n"
        + "".join(f"allowed_batch_sizes: {size}\n" for size in sizes)
    )


_MONITORING = (
    'prometheus_config {\n  enable: true\n  path: "/monitoring/prometheus/metrics"\n}\n'
)


def docker_line(export_dir: str, model_name: str, image: str | None) -> str:
    """What starts the real server with all of these files.

    Args:
      export_dir: The model folder.
      model_name: What the server calls the model.
      image: The server's image; that of the exporter's own version by default.
    """
    image = image or f"tensorflow/serving:{tf.__version__}"
    inside = f"/models/{model_name}"
    return shlex.join(
        [
            *("docker", "run", "--rm", "-p", "8501:8501"),
            *("-v", f"{os.path.abspath(export_dir)}:{inside}", image),
            f"--model_config_file={inside}/models.config",
            "--model_config_file_poll_wait_seconds=60",
            # At the start nothing is loaded that a label could name.
            "--allow_version_labels_for_unavailable_models",
            "--enable_batching",
            f"--batching_parameters_file={inside}/batching.config",
            f"--monitoring_config_file={inside}/monitoring.config",
        ]
    )
