"""Flags of the look at a data set."""

from __future__ import annotations

import dataclasses

from abe_tf.config.evaluation import SPLITS
from abe_tf.config.groups import Group, option


@dataclasses.dataclass(frozen=True)
class ShowConfig(Group):
    """What the contact sheet shows, and where it goes."""

    show: int = option(
        16, "images of a training batch on the contact sheet", lower=1, upper=1024
    )
    sheet: str = option("contact_sheet.png", "the PNG file that it is written to")
    save_images: str | None = option(
        None,
        "write the images of --split there as PNG files, a folder a class, instead of "
        "the contact sheet",
    )
    split: str = option("test", "of --save_images", choices=SPLITS)
    seed: int = option(0, "of the batch and its crops", lower=0, upper=2**31 - 1)
