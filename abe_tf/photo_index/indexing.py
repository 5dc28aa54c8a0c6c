"""Makes an index or brings it up to date: all that `python -m abe_tf.index` does."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import sqlite3
import uuid
from collections.abc import Iterator, Sequence

from abe_tf.config.index import SourceConfig, UpdateConfig
from abe_tf.data.photos import LeftOut
from abe_tf.errors import InputError
from abe_tf.layout import Layout
from abe_tf.photo_index import database, taking_in, thumbnails, vectors, walking
from abe_tf.photo_index.source import Source
from abe_tf.photo_index.walking import Root
from abe_tf.photo_index.writing import Tally
from abe_tf.retrieval.shards import Shards
from abe_tf.storage.locks import TakenError, claimed

_LOCK = "writer.lock"


@dataclasses.dataclass
class Outcome:
    """What happened below one root.

    Attributes:
      root: The folder or file.
      tally: What has changed.
      left_out: What lies there and is no photo.
    """

    root: str
    tally: Tally
    left_out: list[LeftOut]


def index(
    folder: str, source: SourceConfig, options: UpdateConfig, paths: Sequence[str]
) -> Iterator[Outcome]:
    """Makes an index or brings it up to date, root by root.

        >>> source = SourceConfig(workdir="runs/mine")
        >>> for outcome in index("new", source, UpdateConfig(quiet=True), ["photos"]):
        ...     print(outcome.tally.added)
        2

    Args:
      folder: Folder of the index; made where it does not exist.
      source: The model; of an index that there is, the one that made it.
      options: How.
      paths: Folders and files; those of the index where none are given.

    Yields:
      What happened, root by root.

    Raises:
      InputError: A path does not exist, the model is another one, the index is being
        written by another process or cannot be written, or too many photos are gone.
    """
    roots = [os.path.abspath(os.path.expanduser(path)) for path in paths]
    is_new = not os.path.isfile(os.path.join(folder, database.NAME))
    shards = Shards(options.from_embeddings) if options.from_embeddings else None
    if shards and is_new and not source.is_given:
        source = _of_shards(shards)
    _check(roots, source, is_new, options)
    model = Source(source, options)
    if is_new:
        _check_empty(folder)
        # Before anything is made: it may be that there is none.
        model.stated()
    with contextlib.ExitStack() as held:
        held.enter_context(database.translated(folder))
        os.makedirs(os.path.join(folder, vectors.FOLDER), exist_ok=True)
        try:
            held.enter_context(claimed(os.path.join(folder, _LOCK)))
        except TakenError as error:
            raise InputError(
                "One process at a time brings an index up to date. "
                f"Received: {folder!r}, held by {error}."
            ) from error
        if not os.path.isfile(os.path.join(folder, database.NAME)):
            # What tells it from others, whatever it holds.
            about = {"generation": 1, "rows": 0, "identity": uuid.uuid4().hex}
            database.create(folder, {**model.stated(), **about})
        connection = held.enter_context(database.opened(folder, write=True))
        _tell_bound(connection, options, shards)
        yield from _update(folder, connection, model, options, roots, shards)


def _tell_bound(
    connection: sqlite3.Connection, options: UpdateConfig, shards: Shards | None
) -> None:
    """Notes how many pixels a photo of the index may have, for who asks of it."""
    bounds = [options.max_pixels]
    if shards:
        bounds.append(shards.manifest.preprocessing["max_pixels"])
    if max(bounds) > database.about(connection).get("max_pixels", 0):
        database.tell(connection, {"max_pixels": max(bounds)})


def _of_shards(shards: Shards) -> SourceConfig:
    """The model that embedded them, where it still lies there."""
    folder = shards.manifest.model
    if not os.path.isdir(folder):
        raise InputError(
            "A new index needs the model that embedded the photos. Received: none, "
            f"and {folder!r}, where it was, does not exist here. Give --model_dir."
        )
    return SourceConfig(model_dir=folder)


def _check(
    roots: list[str], source: SourceConfig, is_new: bool, options: UpdateConfig
) -> None:
    if is_new and not source.is_given:
        raise InputError(
            "A new index needs a model: --workdir, --model_dir or --encoder. "
            "Received: none."
        )
    if is_new and not roots and not options.from_embeddings:
        raise InputError("A new index needs folders of photos. Received: none.")
    for path in roots:
        if not os.path.exists(path) and not options.prune:
            raise InputError(
                f"Each PHOTOS must be an existing folder or file. Received: {path!r}. "
                "Bring it back, or give --prune to have the index forget it."
            )


def _check_empty(folder: str) -> None:
    """A new index gets a folder of its own: a photo folder is a likely slip."""
    ours = {vectors.FOLDER, _LOCK}
    others = set(os.listdir(folder)) - ours if os.path.isdir(folder) else set()
    others = {name for name in others if not name.startswith(database.NAME)}
    if os.path.exists(folder) and (others or not os.path.isdir(folder)):
        raise InputError(
            "--index must be an index, an empty folder or a new name. Received: "
            f"{folder!r}, with {min(others, default='no folder')!r} in it."
        )


def _update(
    folder: str,
    connection: sqlite3.Connection,
    model: Source,
    options: UpdateConfig,
    paths: list[str],
    shards: Shards | None,
) -> Iterator[Outcome]:
    thumbnails.prepare(connection)
    about = database.about(connection)
    vectors.remove_others(
        folder, {about["generation"], (about.get("next") or about)["generation"]}
    )
    vectors.mend(folder, about["generation"], about["rows"], Layout.of(about))
    # With embeddings alone nobody has asked for a look at the folders.
    roots = _roots(connection, options, paths) if paths or not shards else []
    if options.reembed:
        model.check(connection, reembed=True)
        yield _reembed(folder, connection, model, options)
    else:
        model.check(connection)
    if shards:
        taking_in.check(shards, connection)
        tally = taking_in.take_in(folder, connection, shards, options.quiet)
        yield Outcome(shards.prefix, tally, [])
    missing = {}
    for root in roots:
        outcome = _updated(folder, connection, model, options, root)
        if outcome.tally.missing:
            missing[root.path] = outcome.tally
        yield outcome
    if options.graph:
        from abe_tf.photo_index import approximate

        about = database.about(connection)
        generation = about["generation"]
        segments = vectors.mapped(folder, generation, about["rows"], Layout.of(about))
        approximate.build(folder, generation, segments)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _complete(missing, shards)


def _updated(
    folder: str,
    connection: sqlite3.Connection,
    model: Source,
    options: UpdateConfig,
    root: Root,
) -> Outcome:
    from abe_tf.photo_index.updating import Updater

    known = walking.known(root, connection)
    lying, left_out = _found(root, known)
    updater = Updater(
        folder=folder,
        connection=connection,
        model=lambda: model.loaded,
        batch_size=options.batch_size,
        thumbnail_size=options.thumbnail_size,
        retry=options.retry,
        quiet=options.quiet,
    )
    return Outcome(root.path, updater.update(known, lying, options.prune), left_out)


def _complete(missing: dict[str, Tally], shards: Shards | None) -> None:
    """Checks, once all that is there is taken in, that nothing was wanting.

    Raises:
      InputError: Too many photos of a folder are gone, or shards are not there.
    """
    if missing:
        raise InputError(
            "An update must not lose more than a tenth of the photos of a folder. "
            f"Received: {', '.join(itertools.starmap(_missing, missing.items()))}; all "
            "else was done. Give --prune if that is so, or bring them back."
        )
    some = shards.missing() if shards else []
    if shards and some:
        lacking = sum(map(shards.manifest.size, some))
        raise InputError(
            "--from_embeddings must be all that abe_tf.embed was asked for. Received: "
            f"{shards.prefix!r} without {len(some):,} of {shards.manifest.shards:,} "
            f"shards, of {lacking:,} photos, the first of them number {some[0]}; all "
            "else was taken in. Run abe_tf.embed again, which goes on, and then this."
        )


def _missing(path: str, tally: Tally) -> str:
    return f"{path!r}, where {tally.missing:,} of {tally.present:,} are gone"


def _found(root: Root, known: dict[bytes, sqlite3.Row]) -> tuple[list, list[LeftOut]]:
    if not os.path.exists(root.path):
        # With --prune alone; all of its photos are gone.
        return [], []
    return walking.find(root, known)


def _roots(
    connection: sqlite3.Connection, options: UpdateConfig, paths: list[str]
) -> list[Root]:
    """The roots that are looked through; new ones are noted.

    Raises:
      InputError: A known one is away.
    """
    known = {
        os.fsdecode(path): labels
        for path, labels in connection.execute("SELECT path, labels FROM root")
    }
    given = options.labels
    if given not in (None, walking.NO_LABELS, walking.BY_FOLDER):
        given = os.path.abspath(given or "")
    roots = [
        Root(path, given or known.get(path, walking.BY_FOLDER))
        for path in paths or known
    ]
    for root in roots:
        for other in {*known, *(one.path for one in roots)} - {root.path}:
            _check_apart(root, Root(other, walking.NO_LABELS))
        if not os.path.exists(root.path) and not options.prune:
            raise InputError(
                f"A folder of the index is away. Received: {root.path!r}. Bring it "
                "back, name the others, or give --prune to have the index forget it."
            )
    with database.transaction(connection):
        connection.executemany(
            "INSERT OR REPLACE INTO root VALUES (?, ?)",
            [(os.fsencode(root.path), root.labels) for root in roots],
        )
    return roots


def _check_apart(one: Root, other: Root) -> None:
    """Refuses a folder in a folder: whose the photos are, and their labels, is open.

    Raises:
      InputError: One lies in the other.
    """
    paths = os.fsencode(one.path), os.fsencode(other.path)
    if paths[0].startswith(other.prefix) or paths[1].startswith(one.prefix):
        raise InputError(
            "Folders of one index must not lie in each other. Received: "
            f"{one.path!r} and {other.path!r}. Leave one out, or make another index."
        )


def _reembed(
    folder: str, connection: sqlite3.Connection, model: Source, options: UpdateConfig
) -> Outcome:
    from abe_tf.photo_index.reembedding import reembed

    broken = reembed(
        folder=folder,
        connection=connection,
        model=model.loaded,
        stated=model.stated(),
        batch_size=options.batch_size,
        quiet=options.quiet,
    )
    rows = database.about(connection)["rows"]
    tally = Tally(
        changed=rows, broken=[(os.fsencode(path), why) for path, why in broken]
    )
    return Outcome("embedded anew", tally, [])
