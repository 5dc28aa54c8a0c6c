"""Flags of a comparison of metric losses: which, how tuned, how often."""

from __future__ import annotations

import dataclasses

from abe_tf.config.groups import Group, option
from abe_tf.config.model import ENSEMBLES
from abe_tf.config.sweep import SweepConfig
from abe_tf.errors import InputError

# The one setting of each loss that is tried, and its values; the default is among them.
SETTINGS = {
    "contrastive": ("margin_contrastive", (0.5, 1.0, 1.5)),
    "triplet_semihard": ("margin_addons", (0.2, 0.5, 1.0)),
    "lifted_struct": ("margin_addons", (0.5, 1.0, 1.5)),
    "npairs": ("npairs_scale", (8.0, 16.0, 32.0)),
    "angular": ("angular_degrees", (36.0, 45.0, 50.0)),
    "clustering": ("clustering_gamma", (0.5, 1.0, 2.0)),
    "proxy_nca": ("proxy_scale", (1.0, 3.0, 6.0)),
    "margin": ("margin_beta", (0.8, 1.0, 1.2)),
    "proxy_anchor": ("proxy_anchor_scale", (16.0, 32.0, 64.0)),
    "multi_similarity": ("multi_similarity_base", (0.5, 0.75, 1.0)),
}


@dataclasses.dataclass(frozen=True)
class CompareConfig(Group):
    """Losses, networks, tries and seeds."""

    losses: tuple[str, ...] = option(
        tuple(SETTINGS),
        "of --metric_loss, with commas between; not hdc and bier, which are of several "
        "learners",
        choices=tuple(SETTINGS),
    )
    ensembles: tuple[str, ...] = option(
        ("none", "abe"),
        "of --ensemble, with commas between: none is one learner, the others as many "
        "as --num_learners says. Rate and setting are chosen with none",
        choices=ENSEMBLES,
    )
    rate_factors: tuple[float, ...] = option(
        (0.3, 1.0, 3.0), "times --learning_rate: the rates that are tried", lower=0
    )
    seeds: int = option(
        3,
        "runs of each row of the table, with the seeds from --seed on; tries have one",
        lower=1,
        upper=1000,
    )

    def check_together(self) -> None:
        """Refuses a list without an end, or with something twice."""
        for field in ("losses", "ensembles", "rate_factors"):
            values = getattr(self, field)
            if not values or len(set(values)) < len(values):
                raise InputError(
                    f"--{field} must name something, and nothing twice. "
                    f"Received: {','.join(map(str, values))!r}."
                )

    def tries(self, loss: str, learning_rate: float) -> SweepConfig:
        """What is tried of a loss: learning rates, then values of its setting.

        Args:
          loss: Name of the metric loss.
          learning_rate: The flagfile's.

        Raises:
          InputError: The rates are one.
        """
        rates = [f"{learning_rate * factor:.12g}" for factor in self.rate_factors]
        if len(set(rates)) < len(rates):
            raise InputError(
                "--learning_rate times each of --rate_factors must be rates that "
                f"differ. Received: {learning_rate}, which gives {', '.join(rates)}."
            )
        name, values = SETTINGS[loss]
        settings = [f"{value:g}" for value in values]
        return SweepConfig(
            vary=(f"learning_rate={','.join(rates)}", f"{name}={','.join(settings)}")
        )
