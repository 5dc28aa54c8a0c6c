"""Exports a run as a SavedModel that TensorFlow Serving answers with.

python -m export.saved_model --workdir=runs/digits_abe4 --export_dir=models/digits_abe4
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from typing import TYPE_CHECKING

from abe_tf import runs
from abe_tf.config import command
from abe_tf.config.evaluation import CheckpointConfig, RunConfig, SplitConfig
from abe_tf.config.export import ExportConfig
from abe_tf.errors import InputError
from abe_tf.run_folder import RunFolder, check_writable

if TYPE_CHECKING:
    from abe_tf.runs import TrainedModel
    from export.photos import Photos
    from export.signatures import Gallery


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
    data = split.moved(folder.read_flags()[1])
    data.check_paths()
    from export import galleries, photos, serving_files

    reference = runs.load(folder.path, checkpoint.checkpoint, "float32")
    model = reference
    if export.export_precision != "float32":
        model = runs.load(folder.path, checkpoint.checkpoint, export.export_precision)
    shown = photos.of_run(reference, data, split.split)
    gallery = galleries.load(export.gallery, reference) if export.gallery else None
    card = serving_files.model_card(folder, reference, export, gallery)
    path = publish(model, shown, export, gallery, card)
    serving_files.write_configurations(export_dir, export.model_name)
    print(f"Exported {folder.path}, {model.checkpoint}, as {path}")
    print(serving_files.docker_line(export_dir, export.model_name))


def publish(
    model: TrainedModel,
    photos: Photos,
    export: ExportConfig,
    gallery: Gallery | None,
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
      gallery: Of the signature `search`; `None` leaves that out.
      card: For model_card.json, completed here.

    Returns:
      The version's folder.

    Raises:
      InputError: The model folder cannot be written, or an answer is wrong.
    """
    import tensorflow as tf

    from export import serving_files, verification
    from export.signatures import ServingModule

    export_dir = export.require()
    with contextlib.ExitStack() as undo:
        try:
            os.makedirs(export_dir, exist_ok=True)
            beside = tempfile.mkdtemp(prefix="incomplete-", dir=export_dir)
        except OSError as error:
            raise InputError(
                "--export_dir must be a folder that can be written. "
                f"Received: {export_dir!r}: {error.strerror}."
            ) from error
        undo.callback(shutil.rmtree, beside, ignore_errors=True)
        module = ServingModule(model.network, model.preprocessing, export.max_pixels)
        signatures = module.signatures(gallery, export.top_k)
        tf.saved_model.save(module, beside, signatures=signatures)
        rates = verification.verify(beside, photos, export.export_precision)
        sizes = serving_files.batch_sizes(rates)
        serving_files.write_version(beside, photos.encoded, sizes, rates, card)
        verification.replay(beside)
        # mkdtemp lets nobody else in, but a server runs as another user.
        os.chmod(beside, 0o755)
        _sync(beside)
        return _rename(beside, export_dir, export.version)


def _sync(folder: str) -> None:
    """Has the disk hold all of a folder before its name says that it is complete."""
    for path, _, names in os.walk(folder):
        for name in [*names, "."]:
            descriptor = os.open(os.path.join(path, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _rename(beside: str, export_dir: str, version: int | None) -> str:
    while True:
        versions = [int(name) for name in os.listdir(export_dir) if name.isdigit()]
        number = version or max(versions, default=0) + 1
        path = os.path.join(export_dir, str(number))
        try:
            # Fails where another export has just taken this version.
            os.rename(beside, path)
        except OSError as error:
            if not os.path.isdir(path):
                raise
            if version is not None:
                raise InputError(
                    "--version must be one that does not exist yet. "
                    f"Received: {version}, which another export has just written."
                ) from error
            continue
        descriptor = os.open(export_dir, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return path


if __name__ == "__main__":
    command.run(main, RunConfig, CheckpointConfig, SplitConfig, ExportConfig)
