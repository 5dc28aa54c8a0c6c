"""Loss and recall over the steps of a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from abe_tf.figures import style

_LOSSES = {
    "loss/total": ("total", style.BLACK, "-"),
    "loss/metric": ("metric", style.BLUE, "--"),
    "loss/divergence": ("divergence", style.VERMILLION, ":"),
}
_RECALL = {
    "validation/recall@1": ("ensemble", style.BLUE, "o"),
    "validation/individual_recall@1": ("mean of its learners", style.VERMILLION, "s"),
}


def draw(metrics: Sequence[dict[str, Any]]) -> bytes:
    """Two panels, or one where nothing was measured on validation classes.

    Args:
      metrics: The lines of metrics.jsonl.

    Returns:
      A PNG file.
    """
    measured = any("validation/recall@1" in line for line in metrics)
    with style.figure(12 if measured else 7, 4.5) as figure:
        panels = figure.subplots(1, 1 + measured, squeeze=False)[0]
        for tag, (label, colour, line) in _LOSSES.items():
            steps, values = _of(metrics, tag)
            panels[0].plot(steps, values, color=colour, ls=line, lw=2, label=label)
        panels[0].set_ylabel("loss")
        if measured:
            for tag, (label, colour, marker) in _RECALL.items():
                steps, values = _of(metrics, tag)
                panels[1].plot(
                    steps, values, color=colour, marker=marker, lw=2, label=label
                )
            panels[1].set_ylabel("Recall@1 on validation classes, %")
        for axes in panels:
            axes.set_xlabel("step")
            axes.grid(alpha=0.3)
            axes.legend()
        return style.png(figure)


def _of(metrics: Sequence[dict[str, Any]], tag: str) -> tuple[list, list]:
    points = [
        (line["step"], line[tag]) for line in metrics if line.get(tag) is not None
    ]
    return [step for step, _ in points], [value for _, value in points]
