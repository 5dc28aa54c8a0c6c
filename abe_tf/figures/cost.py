"""Recall against parameters and multiply-adds (the paper's figure 4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from abe_tf.figures import style


@dataclasses.dataclass(frozen=True)
class CostPoint:
    """A point.

    Attributes:
      name: What it is called.
      parameters: In millions.
      multiply_adds: Multiply-adds of one image, in billions.
      recall: Recall@1 of the ensemble in percent.
    """

    name: str
    parameters: float
    multiply_adds: float
    recall: float


def draw(
    ours: Sequence[CostPoint], families: Mapping[str, Sequence[CostPoint]]
) -> bytes:
    """Two panels.

    Args:
      ours: Runs of our own.
      families: Published models by family: two joined by lines, smallest first, then
        others.

    Returns:
      A PNG file.
    """
    with style.figure(13, 5.5) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        for axes, field, label in (
            (panels[0], "parameters", "parameters, millions"),
            (panels[1], "multiply_adds", "multiply-adds of an image, billions"),
        ):
            for (name, models), colour, marker, place in zip(
                families.items(),
                (style.BLUE, style.VERMILLION, style.BLACK),
                "os^",
                ((6, -16), (-8, 8), (-8, -5)),
                strict=False,
            ):
                across = [getattr(model, field) for model in models]
                up = [model.recall for model in models]
                # Kinds of their own are no line.
                line = "none" if marker == "^" else "-"
                look = {"color": colour, "marker": marker, "linestyle": line}
                axes.plot(across, up, **look, label=name)
                side = {"ha": "right" if marker == "^" else "left"}
                side["textcoords"] = "offset points"
                for x, y, model in zip(across, up, models, strict=True):
                    axes.annotate(model.name, (x, y), place, **side)
            for number, model in enumerate(ours):
                axes.scatter(
                    getattr(model, field),
                    model.recall,
                    s=130,
                    marker="*^DPvX"[number % 6],
                    color=style.COLOURS[(number + 2) % len(style.COLOURS)],
                    zorder=3,
                    label=style.legend_label(model.name),
                )
            axes.set_xlabel(label)
            axes.grid(alpha=0.3)
        panels[0].set_ylabel("Recall@1, %")
        figure.legend(
            *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3
        )
        return style.png(figure)
