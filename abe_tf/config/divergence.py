"""Flags of the loss that keeps learners apart."""

from __future__ import annotations

import dataclasses

from abe_tf.config.groups import Group, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class DivergenceConfig(Group):
    """Weight, start and margin of the divergence loss."""

    lambda_div: float = option(
        1.0, "weight of the divergence loss; the paper's is 1", lower=0
    )
    divergence_start_step: int = option(
        0,
        "steps that train without the divergence loss before it sets in, for learners "
        "that shall stand before they part; the paper's is there from the first",
        lower=0,
    )
    margin_divergence: float = option(
        1.0, "learners farther apart than this cost nothing", lower=0
    )
