"""What all pictures have in common: colours, sizes, PNG."""

from __future__ import annotations

import contextlib
import functools
import io
import warnings
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
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


# Of scripts that the first one has not, as systems have them.
_FONTS = (
    *("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Source Han Sans"),
    *("WenQuanYi Zen Hei", "Droid Sans Fallback", "Unifont", "Noto Sans"),
)


@contextlib.contextmanager
def figure(width: float, height: float) -> Iterator[Figure]:
    """A figure of the given size in inches, in the project's fonts."""
    settings = {**_SETTINGS, "font.family": _fonts()}
    with mpl.rc_context(settings), warnings.catch_warnings():
        # One for each letter that no font has, as a box; the page says so once.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield Figure(figsize=(width, height), layout="constrained")


@functools.cache
def _fonts() -> list[str]:
    """Those of the fonts that are installed, in the order in which they are tried."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return [name for name in _FONTS if name in installed]


@functools.cache
def _letters() -> frozenset[int]:
    """What the fonts have signs for."""
    letters: set[int] = set()
    for name in _fonts():
        path = font_manager.findfont(name, fallback_to_default=False)
        letters |= set(font_manager.get_font(path).get_charmap())
    return frozenset(letters)


def has_letters_of(text: str) -> bool:
    """Whether pictures show a text as it is written."""
    return set(map(ord, text)) <= _letters()


def legend_label(name: str) -> str:
    """A name as a legend shows it; Matplotlib leaves out those that begin with `_`."""
    return f" {name}" if name.startswith("_") else name


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
