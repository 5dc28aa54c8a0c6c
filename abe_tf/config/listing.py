"""Flags of the list of encoders."""

from __future__ import annotations

import dataclasses

from abe_tf.config.groups import Group, option
from abe_tf.config.model import ENCODERS


@dataclasses.dataclass(frozen=True)
class ListingConfig(Group):
    """Which encoders, at what size."""

    encoders: tuple[str, ...] = option(
        ENCODERS, "what is listed, with commas between", choices=ENCODERS
    )
    image_size: int = option(224, "side of the image in pixels", lower=75, upper=4096)
