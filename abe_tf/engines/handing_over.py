"""Hands an index over: all of it, or what has changed since the last time."""

from __future__ import annotations

import dataclasses
import os
import sys

from abe_tf.config.bulk import HandOverConfig
from abe_tf.engines import faiss_folder, files
from abe_tf.engines.target import Target
from abe_tf.errors import InputError
from abe_tf.photo_index import handing
from abe_tf.photo_index.searching import moment

# Contents that are sent at once.
_PORTION = 1_000
_FILES = {
    "parquet": files.write_parquet,
    "npz": files.write_npz,
    "faiss": faiss_folder.write,
}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was handed over.

    Attributes:
      sent: Contents, or rows of files.
      removed: Contents that were taken out of a database; `None` of files.
      total: Contents that the target holds.
      unreadable: Photos of the index that cannot be read, and have no embedding.
      how: How it is asked, and what it orders by.
    """

    sent: int
    removed: int | None
    total: int
    unreadable: int
    how: str


def hand_over(folder: str, config: HandOverConfig) -> Outcome:
    """Hands an index over.

    Args:
      folder: Folder of the index.
      config: To what.

    Raises:
      InputError: The target cannot be had, holds something else, or is lost.
    """
    with moment(folder) as now:
        model = handing.model_of(now)
        contents = list(handing.contents(now))
        unreadable = now.unreadable()
        if config.to in _FILES:
            sent, how = _write(config, files.Source(now, model, contents))
            return Outcome(sent, None, len(contents), unreadable, how)
        target = _target(config, model)
        held = target.states()
        due = [
            one
            for one in contents
            if not config.since_last or held.get(one.id) != one.state
        ]
        gone = sorted(held.keys() - {one.id for one in contents})
        done = 0
        for part, embeddings in handing.portions(now, due, _PORTION):
            target.put(part, embeddings)
            done += len(part)
            if not config.quiet and done % (20 * _PORTION) == 0:
                print(f"{done:,} of {len(due):,}", file=sys.stderr, flush=True)
        for first in range(0, len(gone), _PORTION):
            target.remove(gone[first : first + _PORTION])
        how = target.finish()
        return Outcome(len(due), len(gone), len(contents), unreadable, how)


def _write(config: HandOverConfig, source: files.Source) -> tuple[int, str]:
    at = config.at or ""
    if not source.contents:
        raise InputError(
            "--index must hold photos that are there and can be read. Received: one "
            "without. Index some with python -m abe_tf.index."
        )
    try:
        return _FILES[config.to or ""](source, at, config.since_last)
    except OSError as error:
        raise InputError(
            f"--at must be where files can be written. Received: {at!r}: "
            f"{error.strerror or error}."
        ) from error


def _target(config: HandOverConfig, model: handing.Model) -> Target:
    at = config.at or ""
    if config.to == "pgvector":
        from abe_tf.engines.pgvector import Postgres

        return Postgres(at, config.name, model)
    if at.startswith(("http://", "https://")):
        from abe_tf.engines.qdrant import Server

        return Server(at, config.name, model)
    from abe_tf.engines.qdrant_folder import Folder

    return Folder(os.path.abspath(at), model)
