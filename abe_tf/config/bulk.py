"""Flags of embedding very many photos, and of handing an index over."""

from __future__ import annotations

import dataclasses
import re

from abe_tf.config.data import MAX_PIXELS
from abe_tf.config.groups import Group, option
from abe_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class EmbedConfig(Group):
    """Which photos are embedded by what, and where the embeddings go."""

    model_dir: str | None = option(
        None,
        "a folder that export.saved_model wrote, on any file system that Apache Beam "
        "reads: its newest version embeds",
    )
    input: str | None = option(
        None,
        "the photos: a glob in quotes ('photos/**'), a folder, or a CSV file with the "
        "column path (relative to the file) and, if one likes, label",
    )
    output: str | None = option(
        None, "what the names of all that is written begin with, such as out/photos"
    )
    labels: str = option(
        "folders",
        "of a glob or a folder; folders: the folder directly below the one that is "
        "looked through names the kind",
        choices=("folders", "none"),
    )
    shard_size: int = option(
        2000,
        "photos of a Parquet file, and lost at most for each worker when killed",
        lower=1,
        upper=1_000_000,
    )
    batch_size: int = option(32, "photos that are embedded at once", lower=1)
    max_pixels: int = option(
        MAX_PIXELS, "images of more pixels are refused before they are decoded", lower=1
    )
    retry: bool = option(
        False, "embed shards with photos that could not be read once more"
    )
    quiet: bool = option(False, "say nothing but what went wrong")

    def check_together(self) -> None:
        """Refuses to begin where one of the three is not given."""
        for name, what in (
            ("model_dir", "a folder that export.saved_model wrote"),
            ("input", "a glob, a folder or a CSV file of photos"),
            ("output", "what the names of the files to write begin with"),
        ):
            if not getattr(self, name):
                raise InputError(f"--{name} must be {what}. Received: none.")


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_SCHEMES = {"pgvector": ("postgresql", "postgres"), "qdrant": ("http", "https")}
_PLACES = {
    "pgvector": "postgresql://HOST/DATABASE",
    "qdrant": "http://HOST:6333, or a folder",
    "faiss": "a folder",
    "parquet": "what names begin with",
    "npz": "a file",
}


@dataclasses.dataclass(frozen=True)
class HandOverConfig(Group):
    """What an index is handed over to."""

    to: str | None = option(
        None,
        "what is to hold the index",
        choices=("pgvector", "qdrant", "faiss", "parquet", "npz"),
    )
    at: str | None = option(
        None,
        "where: of pgvector the database, postgresql://HOST/NAME; of qdrant a server, "
        "http://HOST:6333, or a folder for its engine in process; else the folder "
        "(faiss), what names begin with (parquet) or the file (npz)",
    )
    name: str = option(
        "abe_tf", "the schema of pgvector, or the collection of a server of qdrant"
    )
    since_last: bool = option(
        False, "send what has changed since the last time, and nothing else"
    )
    quiet: bool = option(False, "say nothing but what went wrong")

    def check_together(self) -> None:
        """Refuses to begin without a target."""
        if not self.to:
            raise InputError(
                "--to must be pgvector, qdrant, faiss, parquet or npz. Received: none."
            )
        if not self.at:
            raise InputError(
                "--at must say where: a database, a folder or a file, as --help tells. "
                "Received: none."
            )
        scheme, separator, _ = self.at.partition("://")
        fitting = _SCHEMES.get(self.to, ())
        if separator and scheme not in fitting:
            # Not the address: a password may be in it.
            raise InputError(
                f"--at of --to={self.to} must be {_PLACES[self.to]}. "
                f"Received: an address {scheme}://."
            )
        if not _NAME.fullmatch(self.name):
            raise InputError(
                "--name must begin with a letter, and hold letters, digits, - and _ "
                f"alone, 63 at most. Received: {self.name!r}."
            )
