"""What all pictures have in common: colours, sizes, PNG."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

# Of Okabe and Ito's colours, which colour-blind people tell apart.
BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
SKY, PURPLE, BLACK = "#56B4E9", "#CC79A7", "#000000"
COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE, BLACK)
# Legible when a picture is shown at half its size.
_SETTINGS: dict[Any, Any] = {
    "font.size": 15,
    "axes.titlesize": 15,
    "legend.fontsize": 13,
    # A class may be called Ba$$in.
    "text.parse_math": False,
}


@contextlib.contextmanager
def figure(width: float, height: float) -> Iterator[Figure]:
    """A figure of a size in inches, with the house's letters."""
    with mpl.rc_context(_SETTINGS):
        yield Figure(figsize=(width, height), layout="constrained")


def png(drawn: Figure, dpi: int = 110) -> bytes:
    """A figure as a PNG file."""
    file = io.BytesIO()
    drawn.savefig(file, format="png", dpi=dpi)
    return file.getvalue()


def png_of_photos(drawn: Figure, dpi: int = 80) -> bytes:
    """A figure with photos: of 256 colours, which takes a quarter of the room."""
    file, small = io.BytesIO(png(drawn, dpi)), io.BytesIO()
    with Image.open(file) as image:
        image.convert("RGB").quantize(256).save(small, "png", optimize=True)
    return small.getvalue()
