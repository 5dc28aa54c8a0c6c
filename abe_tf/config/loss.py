"""Flags that say what is minimised."""

from __future__ import annotations

import dataclasses

from abe_tf.config.groups import Group, option

METRIC_LOSSES = ("contrastive", "triplet_semihard", "lifted_struct", "npairs")
DISTANCES = ("squared", "plain")
REDUCTIONS = ("mean", "published")


@dataclasses.dataclass(frozen=True)
class LossConfig(Group):
    """The metric and the divergence loss, and their balance."""

    metric_loss: str = option(
        "contrastive",
        "what each learner minimises beside the divergence: the paper's contrastive "
        "loss, or one of TensorFlow Addons' losses",
        choices=METRIC_LOSSES,
    )
    lambda_div: float = option(
        1.0, "weight of the divergence loss; the paper's is 1", lower=0
    )
    margin_contrastive: float = option(
        1.0, "negatives farther apart than this cost nothing", lower=0
    )
    margin_addons: float = option(
        1.0,
        "margin of triplet_semihard and lifted_struct, TensorFlow Addons' default",
        lower=0,
    )
    npairs_scale: float = option(
        16.0,
        "times the cosines that npairs takes as logits: learners have unit length",
        lower=0,
    )
    margin_divergence: float = option(
        1.0, "learners farther apart than this cost nothing", lower=0
    )
    distance: str = option(
        "squared",
        "what contrastive, triplet_semihard and divergence measure: squared Euclidean "
        "distance as in the paper, or the plain distance",
        choices=DISTANCES,
    )
    loss_reduction: str = option(
        "mean",
        "how contrastive and divergence are reduced: means over pairs (the contrastive "
        "one over active negatives; the divergence times the number of learners), or "
        "the sums that the paper prints",
        choices=REDUCTIONS,
    )
