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
from abe_tf.config.evaluation import CheckpointConfig, RunConfig
from abe_tf.config.export import ExportConfig
from abe_tf.errors import InputError
from abe_tf.run_folder import check_writable

if TYPE_CHECKING:
    from abe_tf.runs import TrainedModel


def main(run: RunConfig, checkpoint: CheckpointConfig, export: ExportConfig) -> None:
    """Loads the run and publishes it as the next version."""
    workdir = run.require()
    export_dir = export.require()
    check_writable("export_dir", export_dir)
    model = runs.load(workdir, checkpoint.checkpoint)
    path = publish(model, export_dir)
    print(f"Exported {workdir}, {model.checkpoint}, as {path}")


def publish(model: TrainedModel, export_dir: str) -> str:
    """Writes a model as the next version of a model folder.

    It is written beside, under a name that TensorFlow Serving passes over, and renamed
    when it is complete. A version that exists is never touched.

    Args:
      model: What `abe_tf.load` gives.
      export_dir: The model folder; made where it does not exist.

    Returns:
      The version's folder.

    Raises:
      InputError: The model folder cannot be written.
    """
    import tensorflow as tf

    from export.signatures import ServingModule, serving_signatures

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
        module = ServingModule(model.network, model.preprocessing)
        tf.saved_model.save(module, beside, signatures=serving_signatures(module))
        # mkdtemp lets nobody else in, but a server runs as another user.
        os.chmod(beside, 0o755)
        return _rename_to_next_version(beside, export_dir)


def _rename_to_next_version(beside: str, export_dir: str) -> str:
    while True:
        versions = [int(name) for name in os.listdir(export_dir) if name.isdigit()]
        path = os.path.join(export_dir, str(max(versions, default=0) + 1))
        try:
            # Fails where another export has just taken this version.
            os.rename(beside, path)
        except FileExistsError:
            continue
        except OSError:
            if not os.path.isdir(path):
                raise
            continue
        return path


if __name__ == "__main__":
    command.run(main, RunConfig, CheckpointConfig, ExportConfig)
