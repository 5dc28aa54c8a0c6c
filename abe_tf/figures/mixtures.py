"""How normalisations mix over the depth of a network."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from abe_tf.figures import style

_LABELS = 12


def draw(mixtures: Mapping[str, np.ndarray]) -> bytes:
    """Every channel's rho by layer, and the mean of each layer.

    Args:
      mixtures: `[channels]` in 0 to 1 by the layer's name, in the order of depth.

    Returns:
      A PNG file.
    """
    rng = np.random.default_rng(0)
    names = list(mixtures)
    with style.figure(13, 5.5) as figure:
        axes = figure.subplots()
        for depth, values in enumerate(mixtures.values()):
            # Beside each other, or equal ones would be one point.
            across = depth + rng.uniform(-0.3, 0.3, len(values))
            axes.scatter(across, values, s=6, color=style.SKY, alpha=0.5)
        means = [float(np.mean(values)) for values in mixtures.values()]
        axes.plot(means, color=style.VERMILLION, marker="o", label="mean of the layer")
        axes.set_ylim(-0.05, 1.05)
        axes.set_ylabel("rho")
        # As many names as can be read.
        every = -(-len(names) // _LABELS)
        ticks = range(0, len(names), every)
        # Under attention two parts of a network have layers of one name.
        parted = len({_short(name, False) for name in names}) < len(names)
        short = [_short(names[i], parted) for i in ticks]
        axes.set_xticks(ticks, short, rotation=30, ha="right")
        axes.grid(alpha=0.3)
        axes.legend(loc="lower left")
        return style.png(figure)


def _short(name: str, parted: bool) -> str:
    """The layer, and the part of the network that it is of."""
    part, _, rest = name.partition("/")
    layer = rest.rpartition("/")[2] or part
    return f"{layer}\n{part}" if parted else layer
