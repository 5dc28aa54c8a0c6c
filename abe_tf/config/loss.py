"""Flags that say what is minimised."""

from __future__ import annotations

import dataclasses

from abe_tf.config.groups import Group, option

DISTANCES = ("squared", "plain")
REDUCTIONS = ("mean", "published")


@dataclasses.dataclass(frozen=True)
class LossConfig(Group):
    """The contrastive and the divergence loss, and their balance."""

    lambda_div: float = option(
        1.0, "weight of the divergence loss; the paper's is 1", lower=0
    )
    margin_contrastive: float = option(
        1.0, "negatives farther apart than this cost nothing", lower=0
    )
    margin_divergence: float = option(
        1.0, "learners farther apart than this cost nothing", lower=0
    )
    distance: str = option(
        "squared",
        "what both losses measure: squared Euclidean distance as in the paper, or "
        "the plain distance",
        choices=DISTANCES,
    )
    loss_reduction: str = option(
        "mean",
        "how both losses are reduced: means over pairs (the contrastive one over "
        "active negatives; the divergence times the number of learners), or the sums "
        "that the paper prints",
        choices=REDUCTIONS,
    )
