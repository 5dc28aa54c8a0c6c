"""Histograms of cosines: self pairs, positive and negative pairs (figure 5)."""

from __future__ import annotations

import numpy as np

from abe_tf.figures import style

_KINDS = {
    "negative": ("negative pairs", style.VERMILLION, "--"),
    "positive": ("positive pairs", style.BLUE, "-"),
    "self_pair": ("self pairs", style.GREEN, ":"),
}


def draw(runs: dict[str, dict[str, np.ndarray]]) -> bytes:
    """A panel a run, below one another so that they share the axis of cosines.

    Args:
      runs: By name: as `similarity_histograms` gives them.

    Returns:
      A PNG file.
    """
    with style.figure(9, 1.2 + 2.6 * len(runs)) as figure:
        panels = figure.subplots(len(runs), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, histograms) in zip(panels, runs.items(), strict=True):
            for kind, (label, colour, line) in _KINDS.items():
                if kind not in histograms:
                    continue
                counts = histograms[kind]
                # The peak of learners that agree would flatten all else.
                density = counts / counts.max()
                edges = np.linspace(-1, 1, len(counts) + 1)
                axes.stairs(density, edges, color=colour, fill=True, alpha=0.25)
                axes.stairs(
                    density, edges, color=colour, ls=line, linewidth=2.5, label=label
                )
            axes.set_title(name)
            axes.set_ylabel("frequency")
            axes.set_yticks([])
        panels[-1].set_xlabel("cosine similarity")
        panels[0].legend(loc="upper left")
        return style.png(figure)
