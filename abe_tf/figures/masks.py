"""What the attention masks look at (the paper's figures 6 and 7)."""

from __future__ import annotations

import numpy as np

from abe_tf.figures import style


def draw_channels(image: np.ndarray, masks: np.ndarray, channels: int = 4) -> bytes:
    """The image under one channel of each learner's mask, one row per channel.

    Those channels are shown that vary most over the image. Each mask is stretched from
    its least to its greatest value.

    Args:
      image: uint8 RGB `[height, width, 3]`.
      masks: `[learners, h, w, channels]` in (0, 1).
      channels: Number of channels.

    Returns:
      A PNG file.
    """
    variation = masks.std(axis=(1, 2)).mean(0)
    chosen = np.argsort(-variation)[:channels]
    rows = []
    for channel in chosen:
        seen = [_under(image, mask[..., channel]) for mask in masks]
        rows.append((f"channel {channel}", [image, *seen]))
    return _grid(rows, ["image", *_learners(len(masks))])


def draw_means(images: np.ndarray, masks: np.ndarray) -> bytes:
    """Each mask averaged over its channels, a row an image.

    Args:
      images: uint8 RGB `[images, height, width, 3]`.
      masks: `[images, learners, h, w, channels]` in (0, 1).

    Returns:
      A PNG file.
    """
    rows = []
    for image, of_image in zip(images, masks, strict=True):
        means = of_image.mean(-1)
        low, high = means.min(), means.max()
        rows.append((f"{low:.2f} to {high:.2f}", [image, *means]))
    return _grid(rows, ["image", *_learners(masks.shape[1])])


def _learners(count: int) -> list[str]:
    return [f"learner {number}" for number in range(1, count + 1)]


def _under(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image where the mask is open, dark where it is shut."""
    open_ = (mask - mask.min()) / max(float(np.ptp(mask)), 1e-6)
    height, width = image.shape[:2]
    rows = np.arange(height) * mask.shape[0] // height
    columns = np.arange(width) * mask.shape[1] // width
    return (image * open_[rows][:, columns, np.newaxis]).astype(np.uint8)


def _grid(rows: list[tuple[str, list[np.ndarray]]], titles: list[str]) -> bytes:
    with style.figure(1.9 * len(titles) + 0.6, 2.0 * len(rows) + 0.5) as figure:
        panels = figure.subplots(len(rows), len(titles), squeeze=False)
        for across, (label, images) in zip(panels, rows, strict=True):
            across[0].set_ylabel(label)
            for axes, image in zip(across, images, strict=True):
                axes.imshow(image, cmap="viridis")
                axes.set_xticks([])
                axes.set_yticks([])
        for axes, title in zip(panels[0], titles, strict=True):
            axes.set_title(title)
        return style.png_of_photos(figure)
