"""What parts of an image have in a sum, laid over the image."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

# What adds to the sum, and what takes from it: colours that colour-blind people tell.
MORE, LESS = (255, 150, 0), (40, 90, 255)
_MOST_COVER = 0.75


def over(view: np.ndarray, places: np.ndarray, peak: float) -> np.ndarray:
    """An image under what its places have: orange what adds, blue what takes away.

    Args:
      view: uint8 RGB `[side, side, 3]`.
      places: `[h, w]`, drawn smoothly over the whole image.
      peak: What is covered most.

    Returns:
      uint8 RGB `[side, side, 3]`.
    """
    height, width, _ = view.shape
    smooth = Image.fromarray(places.astype(np.float32)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    share = np.clip(np.asarray(smooth) / max(peak, 1e-12), -1, 1)[..., np.newaxis]
    cover = _MOST_COVER * np.abs(share)
    mixed = (1 - cover) * view + cover * np.where(share > 0, MORE, LESS)
    return np.round(mixed).astype(np.uint8)


def over_both(
    views: Sequence[np.ndarray], maps: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Two images that match, each as by `over`, to one scale."""
    peak = max(float(np.abs(places).max()) for places in maps)
    return [over(view, places, peak) for view, places in zip(views, maps, strict=True)]


def png(image: np.ndarray) -> bytes:
    """A PNG file of an image, uint8 RGB `[height, width, 3]`."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return file.getvalue()
