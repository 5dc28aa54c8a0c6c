"""Recall of every sub-ensemble size."""

from __future__ import annotations

from abe_tf.figures import style


def draw(runs: dict[str, dict[int, dict[str, float]]]) -> bytes:
    """Recall@1 against the number of learners, mean and deviation over subsets.

    Args:
      runs: By name: `Measurements.sub_ensembles`.

    Returns:
      A PNG file.
    """
    with style.figure(8, 5) as figure:
        axes = figure.subplots()
        for number, (name, sizes) in enumerate(runs.items()):
            axes.errorbar(
                list(sizes),
                [recalls["mean"] for recalls in sizes.values()],
                [recalls["std"] for recalls in sizes.values()],
                color=style.COLOURS[number % len(style.COLOURS)],
                marker="osD^vP*"[number % 7],
                capsize=5,
                label=style.legend_label(name),
            )
        axes.set_xlabel("learners")
        axes.set_ylabel("Recall@1, %")
        axes.set_xticks(sorted({size for sizes in runs.values() for size in sizes}))
        axes.grid(alpha=0.3)
        axes.legend()
        return style.png(figure)
