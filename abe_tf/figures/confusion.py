"""Which classes are taken for which."""

from __future__ import annotations

import numpy as np

from abe_tf.figures import style

_LETTERS = 24


def most_confused(
    labels: np.ndarray, nearest: np.ndarray, most: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """The classes that are most often taken for another, or another for them.

    Args:
      labels: `[queries]` classes.
      nearest: `[queries]` classes of each query's nearest image.
      most: Number of classes.

    Returns:
      `[classes]` labels in order, and `[classes, classes]` counts of queries by their
      class and by that of their nearest image.
    """
    wrong = labels != nearest
    classes, counts = np.unique(
        np.concatenate([labels[wrong], nearest[wrong]]), return_counts=True
    )
    chosen = np.sort(classes[np.argsort(-counts, kind="stable")[:most]])
    matrix = np.array(
        [[np.sum((labels == a) & (nearest == b)) for b in chosen] for a in chosen]
    )
    return chosen, matrix.reshape(len(chosen), len(chosen))


def draw(names: list[str], counts: np.ndarray) -> bytes:
    """A matrix: rows are the queries' classes, columns their nearest images'.

    Returns:
      A PNG file.
    """
    short = [n if len(n) <= _LETTERS else n[: _LETTERS - 1] + "…" for n in names]
    off_diagonal = counts * (1 - np.eye(len(counts), dtype=int))
    with style.figure(10, 8) as figure:
        axes = figure.subplots()
        axes.imshow(off_diagonal, cmap="cividis_r")
        bright = off_diagonal.max() / 2
        for row, column in np.ndindex(*counts.shape):
            if counts[row, column]:
                dark = off_diagonal[row, column] > bright
                axes.text(
                    column,
                    row,
                    str(counts[row, column]),
                    ha="center",
                    va="center",
                    color="white" if dark else "black",
                )
        axes.set_xticks(range(len(short)), short, rotation=60, ha="right")
        axes.set_yticks(range(len(short)), short)
        axes.set_xlabel("class of the nearest image")
        axes.set_ylabel("class of the query")
        return style.png(figure)
