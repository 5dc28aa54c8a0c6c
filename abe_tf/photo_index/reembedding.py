"""Embeds all photos of an index anew, beside the old embeddings until all are there."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from abe_tf.layout import Layout
from abe_tf.photo_index import database, vectors
from abe_tf.photo_index.batches import embed_padded, in_threads
from abe_tf.photo_index.contents import BrokenPhotoError, content_of, digest_of
from abe_tf.photo_index.model import IndexModel
from abe_tf.photo_index.progress import Progress
from abe_tf.photo_index.reading import reader


def reembed(
    folder: str,
    connection: sqlite3.Connection,
    model: IndexModel,
    stated: dict,
    batch_size: int,
    quiet: bool,
) -> list[tuple[str, str]]:
    """Embeds the contents that lie anywhere, and puts the new embeddings in place.

    Searches find by the old ones until then. Killed, it goes on at the batch where it
    was, if the model is the same.

    Args:
      folder: Folder of the index, whose lock is held.
      connection: Its database, open for writing.
      model: The new model.
      stated: What the index states of it.
      batch_size: Photos at once.
      quiet: Whether to say nothing of progress.

    Returns:
      Files that could not be read, and why; these are found no more.
    """
    _prepare(connection, stated)
    squares = reader(model.preprocessing)
    due = connection.execute(
        "SELECT id, digest FROM content WHERE files > 0 AND next_row IS NULL "
        "AND row IS NOT NULL ORDER BY row"
    ).fetchall()
    paths = _paths(connection)
    broken: list[tuple[str, str]] = []
    progress = Progress(len(due), quiet)

    def read(content: sqlite3.Row) -> tuple[int, tf.Tensor | None, str, str]:
        reason, path = "no file of this content lies there any more", ""
        for path in paths.get(content["id"], []):
            try:
                encoded = content_of(path)
                if digest_of(encoded) == content["digest"]:
                    return content["id"], squares.square(encoded), path, ""
                reason = "its content is another one by now"
            except BrokenPhotoError as error:
                reason = str(error)
        return content["id"], None, path, reason

    for batch in _portions(in_threads(read, due, 2 * batch_size), batch_size):
        good = [one for one in batch if one[1] is not None]
        broken += [(path, reason) for _, square, path, reason in batch if reason]
        embeddings = embed_padded(lambda: model, [one[1] for one in good], batch_size)
        _commit(folder, connection, [one[0] for one in good], embeddings)
        progress.count(len(batch))
        progress.tell(len(broken))
    progress.end()
    _put_in_place(folder, connection)
    return broken


def _prepare(connection: sqlite3.Connection, stated: dict) -> None:
    """Goes on with what was begun with this model, or begins."""
    about = database.about(connection)
    begun = about.get("next")
    if begun and begun["fingerprint"] == stated["fingerprint"]:
        return
    latest = max(about["generation"], begun["generation"] if begun else 0)
    with database.transaction(connection):
        connection.execute("UPDATE content SET next_row = NULL")
        following = {**stated, "generation": latest + 1, "rows": 0}
        database.tell(connection, {"next": following})


def _paths(connection: sqlite3.Connection) -> dict[int, list[str]]:
    paths: dict[int, list[str]] = {}
    for content, path in connection.execute(
        "SELECT content, path FROM photo WHERE gone IS NULL AND content IS NOT NULL"
    ):
        paths.setdefault(content, []).append(os.fsdecode(path))
    return paths


def _portions(items: Iterator, size: int) -> Iterator[list]:
    portion: list = []
    for item in items:
        portion.append(item)
        if len(portion) == size:
            yield portion
            portion = []
    if portion:
        yield portion


def _commit(
    folder: str,
    connection: sqlite3.Connection,
    contents: list[int],
    embeddings: np.ndarray | list,
) -> None:
    if not contents:
        return
    begun = database.about(connection)["next"]
    first = begun["rows"]
    begun["rows"] = vectors.append(
        folder,
        begun["generation"],
        first,
        np.asarray(embeddings),
        Layout.of(begun),
    )
    with database.transaction(connection):
        database.tell(connection, {"next": begun})
        connection.executemany(
            "UPDATE content SET next_row = ? WHERE id = ?",
            [(first + number, content) for number, content in enumerate(contents)],
        )


def _put_in_place(folder: str, connection: sqlite3.Connection) -> None:
    following = database.about(connection)["next"]
    with database.transaction(connection):
        # In two steps: a row that is another content's new one must be free before.
        connection.execute("UPDATE content SET row = NULL")
        connection.execute("UPDATE content SET row = next_row, next_row = NULL")
        database.tell(connection, {**following, "next": None})
    vectors.remove_others(folder, {following["generation"]})
