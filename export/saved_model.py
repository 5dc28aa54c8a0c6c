"""Exports a run as a SavedModel that TensorFlow Serving answers with.

python -m export.saved_model --workdir=runs/digits_abe4 --export_dir=models/digits_abe4
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from abe_tf.config import command
from abe_tf.config.evaluation import CheckpointConfig, RunConfig, SplitConfig
from abe_tf.errors import InputError
from abe_tf.runs import trained
from abe_tf.runs.folder import RunFolder
from abe_tf.storage.files import check_writable
from export.config.export import ExportConfig
from export.runtime import model_folder

if TYPE_CHECKING:
    from abe_tf.runs.trained import TrainedModel
    from export.publish.photos import ReferencePhotos
    from export.publish.signatures import SearchGallery


def main(
    run: RunConfig,
    checkpoint: CheckpointConfig,
    split: SplitConfig,
    export: ExportConfig,
) -> None:
    """Loads the run, and publishes it once it has answered as evaluation does."""
    folder = RunFolder(run.require())
    export_dir = export.require()
    export.check_paths()
    check_writable("export_dir", export_dir)
    data = split.moved(folder.flags().data)
    folder.with_checkpoints(checkpoint.checkpoint)
    data.check_paths()
    from export.publish import galleries, photos, serving_files

    reference = trained.load(
        folder.path, checkpoint.checkpoint, "float32", data.max_pixels
    )
    model = reference
    if export.precision == "bfloat16":
        from abe_tf.models.lower_precision import in_bfloat16

        network = in_bfloat16(reference.network)
        model = dataclasses.replace(reference, network=network)
    shown = photos.of_run(reference, data, split.split)
    gallery = galleries.load(export.gallery, reference) if export.gallery else None
    card = serving_files.model_card(folder, reference, export, gallery)
    path = publish(model, shown, export, gallery, card)
    print(f"Exported {folder.path}, {model.checkpoint}, as {path}")
    try:
        serving_files.write_configurations(export_dir, path, export.model_name)
    except (InputError, OSError) as error:
        raise InputError(
            f"{error} The version {path} is published; only the server's configuration "
            "beside it is the one from before. Let it be written, and export again."
        ) from error
    print(
        serving_files.docker_line(export_dir, export.model_name, export.serving_image)
    )


def publish(
    model: TrainedModel,
    photos: ReferencePhotos,
    export: ExportConfig,
    gallery: SearchGallery | None,
    card: dict,
) -> str:
    """Writes a model as a version of a model folder.

    It is written beside, under a name that TensorFlow Serving passes over, answers
    there through TensorFlow's C API, and is renamed when all is well. A version that
    exists is never touched.

    Args:
      model: What is exported.
      photos: Real images, and what the model in float32 makes of them.
      export: The flags.
      gallery: Gallery of the signature `search`; `None` leaves that out.
      card: For model_card.json, completed here.

    Returns:
      The version's folder.

    Raises:
      InputError: The model folder cannot be written, or an answer is wrong.
    """
    import tensorflow as tf

    from export.publish import (
        serving_files,
        unoptimized,
        verification,
        warmup_photos,
    )
    from export.publish.signatures import DECODER, ServingModule

    export_dir = export.require()
    shown = warmup_photos.of(photos, export.warmup, model.preprocessing.max_pixels)
    with model_folder.incomplete(export_dir) as beside, _disk_errors_named(export_dir):
        module = ServingModule(model.network, model.preprocessing)
        signatures = module.signatures(gallery, export.top_k)
        tf.saved_model.save(module, beside, signatures=signatures)
        unoptimized.leave_as_they_are(beside, DECODER)
        rates = verification.verify(beside, photos, shown, gallery, export.precision)
        sizes = serving_files.batch_sizes(rates)
        serving_files.write_version(beside, shown, sizes, rates, card)
        serving_files.write_calibration(beside, model.calibration)
        return model_folder.publish(beside, export.version)


@contextlib.contextmanager
def _disk_errors_named(export_dir: str) -> Iterator[None]:
    """Says in one line that a model could not be written; TensorFlow raises its own."""
    import tensorflow as tf

    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            "--export_dir must be a folder with room for the model. "
            f"Received: {export_dir!r}: {reason}. Nothing was published."
        ) from error


if __name__ == "__main__":
    command.run(main, RunConfig, CheckpointConfig, SplitConfig, ExportConfig)
