"""Pairs of images, each under what its places have in their similarity."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from abe_tf.figures import heat, style


@dataclasses.dataclass(frozen=True)
class Match:
    """Two images.

    Attributes:
      title: What the row is called.
      views: uint8 RGB `[side, side, 3]` of the one and of the other.
      maps: `[h, w]` of each, which add up to their similarity.
      not_split: Numbers of learners that the maps are without.
    """

    title: str
    views: tuple[np.ndarray, np.ndarray]
    maps: tuple[np.ndarray, np.ndarray]
    not_split: tuple[int, ...] = ()


def draw(matches: Sequence[Match]) -> bytes:
    """A row a pair: image, and image under its map, of both.

    Returns:
      A PNG file.
    """
    titles = ("query", "what of it matches", "found", "what of it matches")
    with style.figure(2.2 * len(titles), 2.0 * len(matches) + 0.5) as figure:
        panels = figure.subplots(len(matches), len(titles), squeeze=False)
        for across, match in zip(panels, matches, strict=True):
            across[0].set_ylabel(match.title)
            under = heat.over_both(match.views, match.maps)
            images = [match.views[0], under[0], match.views[1], under[1]]
            for axes, image in zip(across, images, strict=True):
                axes.imshow(image)
                axes.set_xticks([])
                axes.set_yticks([])
        for axes, title in zip(panels[0], titles, strict=True):
            axes.set_title(title)
        return style.png_of_photos(figure)
