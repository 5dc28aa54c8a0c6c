"""Takes what `abe_tf.embed` has embedded into an index, without opening a photo."""

from __future__ import annotations

import os
import sqlite3

from abe_tf.errors import InputError
from abe_tf.photo_index import database
from abe_tf.photo_index.contents import Header, Kept
from abe_tf.photo_index.progress import Progress
from abe_tf.photo_index.walking import Found
from abe_tf.photo_index.writing import Read, Tally, Writer
from abe_tf.retrieval.shards import Row, Shards


def check(shards: Shards, connection: sqlite3.Connection) -> None:
    """Compares the model of shards with that of an index.

    Raises:
      InputError: It is another one.
    """
    ours, theirs = database.about(connection)["fingerprint"], shards.manifest
    if theirs.fingerprint != ours:
        raise InputError(
            "--from_embeddings must be by the model of the index. Received: "
            f"{shards.prefix!r} by {theirs.fingerprint}, and an index of {ours}. Make "
            "another index, or embed the photos by the index's model."
        )


def take_in(
    folder: str, connection: sqlite3.Connection, shards: Shards, quiet: bool
) -> Tally:
    """Takes in all shards that there are.

    What the index has of a later date stays. Killed, the same goes on.

    Args:
      folder: Folder of the index, whose lock is held.
      connection: Its database, open for writing.
      shards: The embeddings.
      quiet: Whether to say nothing of progress.

    Raises:
      InputError: A shard is damaged; those before it are taken in.
    """
    tally, writer = Tally(), Writer(folder, connection)
    writer.know(with_broken=False)
    missing = set(shards.missing())
    progress = Progress(shards.manifest.photos, quiet)
    for shard in range(shards.manifest.shards):
        if shard not in missing:
            rows, embeddings = shards.read(shard)
            news = _news(rows, connection, tally)
            # An embedding without a photo would belong to no content.
            wanted = {read.digest for read in news} - writer.contents.keys()
            new = {
                row.id: embedding
                for row, embedding in zip(rows, embeddings, strict=True)
                if row.id in wanted
            }
            writer.commit(news, new, {}, tally, progress.state())
        progress.count(shards.manifest.size(shard))
        progress.tell(len(tally.broken))
    broken = [
        Read(Found(os.fsencode(path), 0, 0, None), reason=reason)
        for path, reason in shards.broken()
        if _known(os.fsencode(path), connection) is None
    ]
    # Of the size and the time of no file: an update of its folder looks at it again.
    writer.commit(broken, {}, {}, tally)
    progress.end()
    return tally


def _news(rows: list[Row], connection: sqlite3.Connection, tally: Tally) -> list[Read]:
    """What the index does not have, or has of an earlier date."""
    news = []
    for row in rows:
        found = Found(os.fsencode(row.path), row.bytes, row.mtime_ns, row.label)
        known = _known(found.path, connection)
        if known is not None and not _is_news(row, known):
            tally.unchanged += 1
            continue
        kept = Kept(None, row.width, row.height, Header(row.taken, row.camera))
        news.append(Read(found, row.id, row.bytes, kept))
    return news


def _is_news(row: Row, known: sqlite3.Row) -> bool:
    """Whether a shard says more of a photo than the index."""
    if known["mtime_ns"] > row.mtime_ns:
        return False
    if (known["size"], known["mtime_ns"]) != (row.bytes, row.mtime_ns):
        return True
    # That it is gone, the index has seen later.
    return known["gone"] is None and (
        known["row"] is None or known["label"] != row.label
    )


def _known(path: bytes, connection: sqlite3.Connection) -> sqlite3.Row | None:
    return connection.execute(
        "SELECT photo.size, mtime_ns, gone, label, row FROM photo "
        "LEFT JOIN content ON content.id = photo.content WHERE path = ?",
        (path,),
    ).fetchone()
