"""Embeds what a list names, shard by shard, and goes on where it was stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions

from abe_tf.bulk import listing, store
from abe_tf.bulk.worker import Learners, Write, threads_of
from abe_tf.config.bulk import EmbedConfig
from abe_tf.config.sizes import as_json
from abe_tf.data.photos import LeftOut
from abe_tf.errors import InputError
from abe_tf.photo_index.contents import BrokenPhotoError
from abe_tf.photo_index.model import exported
from abe_tf.retrieval import shards
from abe_tf.retrieval.shards import Manifest

# What a line of an exception begins with that is a user's mistake.
_REFUSED = "abe_tf.errors.InputError: "


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
      manifest: What the shards are of.
      before: Number of shards that were done already.
      broken: Photos that cannot be read, and why.
      left_out: What a glob found and is no photo.
    """

    manifest: Manifest
    before: int
    broken: list[tuple[str, str]]
    left_out: list[LeftOut]


def run(config: EmbedConfig, flags_of_beam: list[str]) -> Outcome:
    """Embeds photos.

    Args:
      config: What, by what, and where to.
      flags_of_beam: Such as --runner.

    Raises:
      InputError: The list or the model is another one than before, or cannot be had;
        a flag of Beam is wrong; the output cannot be written.
    """
    options = _options(flags_of_beam)
    prefix = config.output or ""
    if store.is_local(prefix):
        prefix = os.path.abspath(prefix)
    photos, left_out = listing.listed(config.input or "", config.labels, prefix)
    manifest = _manifest(config, photos)
    _begin(prefix, manifest, photos)
    done = _numbers(prefix, shards.PARQUET)
    again = _numbers(prefix, shards.BROKEN) if config.retry else set()
    todo = sorted(set(range(manifest.shards)) - (done - again))
    if todo:
        workers = options.view_as(DirectOptions).direct_num_workers
        handler = Learners(prefix, manifest, config.batch_size, threads_of(workers))
        _run(options, todo, handler, Write(prefix, manifest))
        lacking = set(range(manifest.shards)) - _numbers(prefix, shards.PARQUET)
        if lacking:
            raise InputError(
                "A pipeline must be waited for, and end well. Received: one after "
                f"which {len(lacking):,} of {manifest.shards:,} shards are not there, "
                f"the first of them number {min(lacking)}. Run the same again."
            )
    broken = [
        one
        for shard in sorted(_numbers(prefix, shards.BROKEN))
        for one in _broken(prefix, shard)
    ]
    return Outcome(manifest, manifest.shards - len(todo), broken, left_out)


def _run(
    options: PipelineOptions, todo: list[int], handler: Learners, write: Write
) -> None:
    """Runs the pipeline.

    Raises:
      InputError: The runner cannot be had, or a worker says so.
    """
    try:
        pipeline = beam.Pipeline(options=options)
    except (ValueError, SystemExit) as error:
        raise InputError(
            "What follows -- must be flags of Apache Beam that fit its runner. "
            f"Received: {error}."
        ) from error
    _ = (
        pipeline
        | "Shards" >> beam.Create(todo)
        | "Share" >> beam.Reshuffle()
        | "Embed" >> RunInference(handler)
        | "Write" >> beam.ParDo(write)
    )
    try:
        pipeline.run().wait_until_finish()
    except RuntimeError as error:
        # Workers tell of an exception by its text.
        said = [line for line in str(error).splitlines() if _REFUSED in line]
        if not said:
            raise
        text = said[-1].partition(_REFUSED)[2]
        raise InputError(text.partition(" [while running ")[0]) from error


def _options(flags: list[str]) -> PipelineOptions:
    """The flags of Beam.

    Raises:
      InputError: One is not known.
    """
    options, said = PipelineOptions(flags), io.StringIO()
    try:
        # argparse says how a flag is used, and ends the process.
        with contextlib.redirect_stderr(said):
            given = options.get_all_options(retain_unknown_options=True)
    except SystemExit:
        raise InputError(
            "What follows -- must be flags of Apache Beam. Received: "
            f"{' '.join(flags)}: {said.getvalue().strip().rpartition('error: ')[2]}."
        ) from None
    # Beam passes over what it does not know; a slip would go unseen.
    unknown = given.keys() - PipelineOptions([]).get_all_options().keys()
    if unknown or [one for one in flags if not one.startswith("-")]:
        raise InputError(
            "What follows -- must be flags of Apache Beam, as --name=value. "
            f"Received: {' '.join(flags)}."
        )
    return options


def _manifest(config: EmbedConfig, photos: list[listing.Listed]) -> Manifest:
    folder = config.model_dir or ""
    if store.is_local(folder):
        folder = os.path.abspath(folder)
        if not os.path.isdir(folder):
            raise InputError(
                f"--model_dir must be an existing folder. Received: {folder!r}."
            )
    with store.on_this_machine(folder) as here:
        said = exported(here, config.max_pixels)
    sees = said.preprocessing
    return Manifest(
        fingerprint=said.fingerprint,
        layout=said.layout,
        weights=(1 / said.layout.learners,) * said.layout.learners,
        preprocessing={
            "image_size": as_json(sees.image_size),
            "scaled_size": as_json(sees.scaled_size),
            "stretch": sees.stretch,
            "max_pixels": sees.max_pixels,
        },
        model=folder,
        list=listing.digest(photos),
        photos=len(photos),
        shard_size=config.shard_size,
    )


def _begin(prefix: str, manifest: Manifest, photos: list[listing.Listed]) -> None:
    """Writes the lists and then the manifest, where none is there.

    Raises:
      InputError: There is another one.
    """
    path = prefix + shards.MANIFEST
    if store.exists(path):
        try:
            before = Manifest.parse(store.read(path), path)
        except BrokenPhotoError as error:
            raise InputError(
                f"The manifest must be readable. Received: {path!r}: {error}."
            ) from error
        _check_same(path, before, manifest)
        return
    there = _numbers(prefix, shards.PARQUET) | _numbers(prefix, shards.BROKEN)
    if there:
        # Of which list, nothing tells any more.
        raise InputError(
            "--output must be new, or what this command wrote. Received: "
            f"{prefix!r} with {len(there):,} shards and without its manifest. Give "
            "another --output, or remove them."
        )
    for shard in range(manifest.shards):
        first = shard * manifest.shard_size
        part = photos[first : first + manifest.shard_size]
        text = shards.csv_text(("path", "label"), part)
        store.write(shards.name(prefix, shard, shards.LIST), text)
    store.write(path, manifest.text())


def _check_same(path: str, before: Manifest, now: Manifest) -> None:
    # Where it lies is no part of what it is.
    before, now = (dataclasses.replace(one, model="") for one in (before, now))
    for name, value in dataclasses.asdict(before).items():
        other = getattr(now, name)
        if value != other:
            raise InputError(
                "--output must be new, or of the same photos and the same model. "
                f"Received: {path!r} with {name} {value}, and {other} now. Give "
                "another --output, or what was given before."
            )


def _numbers(prefix: str, ending: str) -> set[int]:
    """Shards that have a file of a kind."""
    numbers = set()
    for path in store.matching(f"{store.literal(prefix)}-*{ending}"):
        text = path.removeprefix(prefix + "-").removesuffix(ending)
        if text.isdecimal():
            numbers.add(int(text))
    return numbers


def _broken(prefix: str, shard: int) -> list[tuple[str, str]]:
    rows = shards.csv_rows(store.read(shards.name(prefix, shard, shards.BROKEN)))
    return [(path, reason) for path, reason in rows]
