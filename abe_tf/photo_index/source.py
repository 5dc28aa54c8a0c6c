"""The model of an index, as its flags and the index itself name it."""

from __future__ import annotations

import dataclasses
import functools
import os
import sqlite3
from typing import TYPE_CHECKING, Any

from abe_tf.config.index import SourceConfig, UpdateConfig
from abe_tf.errors import InputError
from abe_tf.photo_index import database
from abe_tf.retrieval import calibration
from abe_tf.retrieval.calibration import Calibration

if TYPE_CHECKING:
    from abe_tf.photo_index.model import IndexModel


class Source:
    """The model of an index, loaded when it is needed: an index without news is not.

    Args:
      source: What the flags name.
      options: How the index is brought up to date.
    """

    def __init__(self, source: SourceConfig, options: UpdateConfig) -> None:
        self._source, self._options = source, options

    @functools.cached_property
    def loaded(self) -> IndexModel:
        """The model."""
        from abe_tf.photo_index.model import load

        return load(self._source, self._options.max_pixels)

    def stated(self) -> dict[str, Any]:
        """What an index states of the model that made it."""
        model = self.loaded
        learners = model.layout.learners
        return {
            "format": database.format_of(model.layout),
            "fingerprint": model.fingerprint,
            **model.layout.values(),
            # How much each learner's distance counts, at its length.
            "weights": [1 / learners] * learners,
            "source": _told(self._source),
            "state": _state(self._source),
            "calibration": self.calibration(),
        }

    def calibration(self) -> str | None:
        """How sure the model's distances make, as `Calibration.text`, if it says so."""
        fitted = _measured(self._source)
        return None if fitted is None else fitted.text()

    def check(self, connection: sqlite3.Connection, reembed: bool = False) -> None:
        """Compares the model with the one that made an index.

        Raises:
          InputError: It is another one, and `reembed` is false.
        """
        about = database.about(connection)
        if not self._source.is_given:
            # Where that lies elsewhere by now, the flags have to say so.
            self._source = SourceConfig(**about["source"])
        if reembed:
            return
        if about.get("next"):
            raise InputError(
                "An index that is being embedded anew must be done before it is "
                "brought up to date. Received: one that is not. Give --reembed and the "
                "same model again."
            )
        self._compare(connection, about)
        calibration = self.calibration()
        # It may have been measured since; an export of the run may lack it.
        if calibration not in (None, about.get("calibration")):
            with database.transaction(connection):
                database.tell(connection, {"calibration": calibration})

    def _compare(self, connection: sqlite3.Connection, about: dict[str, Any]) -> None:
        ours = _told(self._source)
        if ours == about["source"] and _state(self._source) == about["state"]:
            # Loading takes seconds, and would find what it found before.
            return
        loaded, wanted = self.loaded.fingerprint, about["fingerprint"]
        if loaded != wanted:
            raise InputError(
                "--index must be brought up to date with the model that made it. "
                f"Received: a model {loaded}, and an index of {wanted}. Give that "
                "model, or --reembed to embed all photos anew."
            )
        with database.transaction(connection):
            database.tell(connection, {"source": ours, "state": _state(self._source)})


def _told(source: SourceConfig) -> dict[str, Any]:
    """The flags, with paths that hold wherever the index is asked from."""
    told = dataclasses.asdict(source)
    for name in ("workdir", "model_dir", "checkpoint", "encoder_weights"):
        path = told[name]
        if path and os.path.exists(path):
            told[name] = os.path.abspath(path)
    return told


def _state(source: SourceConfig) -> list[str]:
    """What changes where a source gives another model than before."""
    if source.model_dir:
        from export.runtime import model_folder

        return [str(number) for number in model_folder.versions(source.model_dir)[-1:]]
    if source.workdir:
        from abe_tf.runs.folder import RunFolder

        folder = RunFolder(source.workdir)
        return [folder.newest("best"), folder.newest("last")]
    return []


def _measured(source: SourceConfig) -> Calibration | None:
    if source.model_dir:
        from export.runtime import model_folder

        newest = str(model_folder.versions(source.model_dir)[-1])
        path = os.path.join(source.model_dir, newest, calibration.FILE)
        return calibration.read(path, "Export the run again.")
    if source.workdir:
        from abe_tf.runs.trained import newest_calibration

        return newest_calibration(source.workdir, source.checkpoint)
    return None
