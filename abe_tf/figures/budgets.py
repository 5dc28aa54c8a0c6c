"""Recall against how long a training is."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from abe_tf.figures import style
from abe_tf.figures.ablation import SweepRow


def draw(curves: Mapping[str, Sequence[tuple[int, SweepRow]]]) -> bytes:
    """Recall@1 of each network, and of its learners alone where it has several.

    Args:
      curves: By the network's name, steps and what was measured after them; a training
        that diverged is left out.

    Returns:
      A PNG file.
    """
    with style.figure(9, 6) as figure:
        axes = figure.subplots()
        ticks = sorted({steps for curve in curves.values() for steps, _ in curve})
        for number, (name, curve) in enumerate(curves.items()):
            colour = style.COLOURS[number % len(style.COLOURS)]
            found = [(steps, row) for steps, row in curve if row.ensemble]
            steps = [steps for steps, _ in found]
            whole = [statistics.mean(row.ensemble) for _, row in found]
            axes.plot(steps, whole, color=colour, marker="o", label=name)
            if any(row.self_pair_cosine for _, row in found):
                alone = [statistics.mean(row.individual) for _, row in found]
                axes.plot(
                    steps,
                    alone,
                    color=colour,
                    marker="s",
                    linestyle="--",
                    label=f"{name}, its learners alone",
                )
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{steps:,}" for steps in ticks])
        axes.minorticks_off()
        axes.set_xlabel("steps of the training")
        axes.set_ylabel("Recall@1 on held-out classes, %")
        axes.grid(alpha=0.3)
        axes.legend()
        return style.png(figure)
