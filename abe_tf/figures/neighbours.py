"""Queries and their nearest images, right and wrong ones framed (figure 8)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from abe_tf.figures import style

_RIGHT, _WRONG = (style.BLUE, "-"), (style.VERMILLION, "--")
_LETTERS = 16


@dataclasses.dataclass(frozen=True)
class QueryRow:
    """A query and what was found.

    Attributes:
      title: Title of the query.
      query: uint8 RGB `[height, width, 3]`.
      nearest: The nearest images, nearest first.
      right: Whether each is of the query's class.
    """

    title: str
    query: np.ndarray
    nearest: Sequence[np.ndarray]
    right: Sequence[bool]


def draw(rows: Sequence[QueryRow]) -> bytes:
    """A row a query: right images in solid blue, wrong ones in dashed vermillion.

    Returns:
      A PNG file.
    """
    columns = 1 + max(len(row.nearest) for row in rows)
    with style.figure(1.6 * columns, 1.85 * len(rows)) as figure:
        panels = figure.subplots(len(rows), columns, squeeze=False)
        for across, row in zip(panels, rows, strict=True):
            for axes in across:
                axes.set_axis_off()
            across[0].imshow(row.query)
            title = row.title
            if len(title) > _LETTERS:
                title = title[: _LETTERS - 1] + "…"
            across[0].set_title(title, fontsize=12)
            for axes, image, right in zip(
                across[1:], row.nearest, row.right, strict=False
            ):
                axes.imshow(image)
                _frame(axes, *(_RIGHT if right else _WRONG))
                axes.set_title("✓" if right else "✗", fontsize=11)
        return style.png_of_photos(figure)


def _frame(axes: Axes, colour: str, line: str) -> None:
    axes.set_axis_on()
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set(color=colour, linewidth=4, linestyle=line)
