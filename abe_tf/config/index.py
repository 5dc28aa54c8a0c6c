"""Flags of an index of photos: what it is made with, what it is asked, who may look."""

from __future__ import annotations

import dataclasses
import datetime
import os

from abe_tf.config.data import MAX_PIXELS
from abe_tf.config.groups import Group, option
from abe_tf.config.model import ENCODERS
from abe_tf.config.sizes import ImageSize
from abe_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class IndexConfig(Group):
    """Which index."""

    index: str | None = option(None, "the folder of the index")

    def require(self, must_exist: bool = True) -> str:
        """The folder of the index.

        Raises:
          InputError: None was given, or it must exist and does not.
        """
        if not self.index:
            raise InputError(
                "--index must name the folder of an index. Received: none."
            )
        if must_exist and not os.path.isdir(self.index):
            raise InputError(
                "--index must be the folder of an index. "
                f"Received: {self.index!r}, which does not exist. Make it with "
                "python -m abe_tf.index, or correct the path."
            )
        return self.index


@dataclasses.dataclass(frozen=True)
class SourceConfig(Group):
    """What embeds the photos of an index."""

    workdir: str | None = option(None, "a run folder: its network embeds")
    checkpoint: str = option(
        "best", "of the run: best, last, or the folder of a checkpoint"
    )
    model_dir: str | None = option(
        None, "a folder that export.saved_model wrote: its newest version embeds"
    )
    encoder: str | None = option(
        None,
        "this network embeds by its pooled features, without any training; with "
        "--encoder_weights",
        choices=ENCODERS,
    )
    encoder_weights: str = option(
        "imagenet",
        "of --encoder: imagenet (downloaded once) or a file, as in training",
    )
    mobilenet_alpha: float = option(
        1.0, "of --encoder: width of mobilenet and mobilenet_v2", lower=0.05, upper=4
    )
    image_size: ImageSize = option(
        224,
        "of --encoder: side of the square that it sees, or HEIGHTxWIDTH",
        lower=16,
        upper=4096,
    )

    def check_together(self) -> None:
        """Refuses two models."""
        given = [
            f"--{name}={value}"
            for name in ("workdir", "model_dir", "encoder")
            if (value := getattr(self, name))
        ]
        if len(given) > 1:
            raise InputError(
                "One model embeds the photos: --workdir, --model_dir or --encoder. "
                f"Received: {' and '.join(given)}. Leave all out but one."
            )
        for name in ("workdir", "model_dir"):
            path = getattr(self, name)
            if path and not os.path.isdir(path):
                raise InputError(
                    f"--{name} must be an existing folder. Received: {path!r}."
                )

    @property
    def is_given(self) -> bool:
        """Whether the flags name a model."""
        return bool(self.workdir or self.model_dir or self.encoder)


@dataclasses.dataclass(frozen=True)
class UpdateConfig(Group):
    """How an index is brought up to date."""

    labels: str | None = option(
        None,
        "folders (the folder directly below the given one names the kind), none, or "
        "a CSV file with the columns path and label; folders where none is given, and "
        "what was given before for a folder that is known",
    )
    prune: bool = option(
        False,
        "forget photos that are gone even if a whole folder or more than a tenth of "
        "its photos is",
    )
    reembed: bool = option(
        False,
        "embed all photos anew, with another model if one is given; labels, moves and "
        "thumbnails stay",
    )
    from_embeddings: str | None = option(
        None,
        "take in what abe_tf.embed has embedded, its --output: no photo is opened",
    )
    retry: bool = option(False, "look again at files that could not be read")
    graph: bool = option(
        False,
        "build the graph for search --approximate at the end (pip install "
        "--require-hashes -r requirements-approximate.txt)",
    )
    max_pixels: int = option(
        MAX_PIXELS, "images of more pixels are refused before they are decoded", lower=1
    )
    thumbnail_size: int = option(
        320, "longer side of the thumbnails, in pixels", lower=32, upper=2048
    )
    batch_size: int = option(
        32, "photos that are embedded at once, and lost at most when killed", lower=1
    )
    quiet: bool = option(False, "say nothing but what went wrong")

    def check_together(self) -> None:
        """Refuses labels from a file that is missing."""
        if self.labels in (None, "folders", "none") or os.path.isfile(self.labels):
            return
        raise InputError(
            "--labels must be folders, none, or an existing CSV file. "
            f"Received: {self.labels!r}."
        )


@dataclasses.dataclass(frozen=True)
class FilterConfig(Group):
    """Which photos are asked about."""

    folder: str | None = option(None, "only photos below this folder")
    label: tuple[str, ...] = option(
        (), "only photos of this kind; may be given several times", repeated=True
    )
    since: str | None = option(
        None, "only photos taken on this day or later, YYYY-MM-DD"
    )
    until: str | None = option(
        None, "only photos taken on this day or before, YYYY-MM-DD"
    )

    def check_together(self) -> None:
        """Refuses what is no day."""
        days = [
            day(name, text)
            for name in ("since", "until")
            if (text := getattr(self, name))
        ]
        if len(days) == 2 and days[0] > days[1]:
            raise InputError(
                "--since must not be later than --until. "
                f"Received: {self.since} and {self.until}."
            )


@dataclasses.dataclass(frozen=True)
class SearchConfig(Group):
    """A question, and the form of the answer."""

    unlike: tuple[str, ...] = option(
        (),
        "a photo of what is not meant; may be given several times: hits nearer to it "
        "than to any IMAGE come last",
        repeated=True,
    )
    box: tuple[str, ...] = option(
        (),
        "x1,y1,x2,y2 in pixels of the upright image: the part of IMAGE that is meant; "
        "with several images one for each, in order, or all for none",
        repeated=True,
    )
    top_k: int = option(10, "hits", lower=1, upper=100_000)
    json: bool = option(False, "print the answer as JSON")
    csv: bool = option(False, "print the answer as CSV")
    paths: bool = option(False, "print paths alone, a line each")
    copy_to: str | None = option(None, "copy the hits into this folder, by rank")
    html: str | None = option(
        None, "write a page with the hits' thumbnails, and why the first 20 were found"
    )
    approximate: bool = option(
        False,
        "walk a graph instead of looking at all photos, and perhaps miss some: for "
        "more than half a million; needs index --graph",
    )

    def check_together(self) -> None:
        """Refuses two forms at once, and what is no box."""
        forms = [name for name in ("json", "csv", "paths") if getattr(self, name)]
        if len(forms) > 1:
            raise InputError(
                "The answer has one form. Received: "
                f"{' and '.join('--' + name for name in forms)}. Leave one out."
            )
        for text in self.box:
            parse_box(text)

    def boxes(self, images: int) -> list[tuple[float, float, float, float] | None]:
        """The box of each image.

        Raises:
          InputError: There are more or fewer boxes than images.
        """
        if not self.box:
            return [None] * images
        if len(self.box) != images:
            raise InputError(
                "--box must be given once for each IMAGE, or never; all for the whole. "
                f"Received: {len(self.box)} for {images}."
            )
        return [parse_box(text) for text in self.box]


@dataclasses.dataclass(frozen=True)
class SureConfig(Group):
    """How sure one is that two photos show one kind of thing."""

    kinds: int | None = option(
        None,
        "how many kinds of thing the photos show, which tells how likely two are of "
        "one; the index's labels tell where none is given",
        lower=2,
        upper=10**9,
    )
    precision: float | None = option(
        None,
        "P(same kind) that a pair must have, in percent; needs a model that was "
        "calibrated",
        lower=0.001,
        upper=99.9999,
    )
    max_distance: float | None = option(
        None,
        "ensemble distance of a pair at most, instead of --precision",
        lower=0,
        upper=2,
    )

    def check_together(self) -> None:
        """Refuses two bounds."""
        if self.precision is not None and self.max_distance is not None:
            raise InputError(
                "A pair has one bound. Received: "
                f"--precision={self.precision:g} and "
                f"--max_distance={self.max_distance:g}. Leave one out."
            )


@dataclasses.dataclass(frozen=True)
class BrowseConfig(Group):
    """Where the page is shown."""

    port: int = option(8080, "the port; 0 for any that is free", lower=0, upper=65535)
    max_upload_mb: int = option(32, "larger uploads are refused", lower=1)


def day(name: str, text: str) -> datetime.date:
    """Reads a day.

    Raises:
      InputError: It is none.
    """
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"--{name} must be a day as YYYY-MM-DD. Received: {text!r}."
        ) from None


def parse_box(text: str) -> tuple[float, float, float, float] | None:
    """Reads a box, left, top, right, bottom; `None` for all of an image.

    Raises:
      InputError: It is neither.
    """
    if text == "all":
        return None
    try:
        left, top, right, bottom = (float(part) for part in text.split(","))
        fits = 0 <= left < right < float("inf") and 0 <= top < bottom < float("inf")
    except ValueError:
        fits = False
    if not fits:
        raise InputError(
            "--box must be x1,y1,x2,y2 with x1 < x2 and y1 < y2, in pixels, or all. "
            f"Received: {text!r}."
        )
    return left, top, right, bottom
