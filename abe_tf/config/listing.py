"""Flags of the list of encoders."""

from __future__ import annotations

import dataclasses

from abe_tf.config.groups import Group, option
from abe_tf.config.model import ENCODERS
from abe_tf.config.sizes import ImageSize


@dataclasses.dataclass(frozen=True)
class ListingConfig(Group):
    """Which encoders, at what size."""

    encoders: tuple[str, ...] = option(
        ENCODERS, "what is listed, with commas between", choices=ENCODERS
    )
    image_size: ImageSize = option(
        224, "side of the image in pixels, or HEIGHTxWIDTH", lower=75, upper=4096
    )
