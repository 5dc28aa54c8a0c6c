"""Flags of a comparison: of what, how tuned, how often."""

from __future__ import annotations

import dataclasses

from abe_tf.config.groups import Group, option
from abe_tf.config.model import ENSEMBLES, NORMALIZATIONS
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
# Of --ensemble: what every loss trains.
_OF_ANY_LOSS = ("none", "heads", "abe")
# Of --normalization, and the last one with --meta.
_NORMALIZED = (*NORMALIZATIONS, "meta")


@dataclasses.dataclass(frozen=True)
class CompareConfig(Group):
    """Losses, networks, tries and seeds."""

    rows: str = option(
        "losses",
        "what is compared: losses, of which rate and one setting are chosen with one "
        "learner; ensembles, each with its own loss and a rate of its own; or "
        "normalizations, each with a rate of its own, at as many images seen",
        choices=("losses", "ensembles", "normalizations"),
    )
    losses: tuple[str, ...] = option(
        tuple(SETTINGS),
        "of --metric_loss, with commas between; not hdc and bier, which are of several "
        "learners",
        choices=tuple(SETTINGS),
    )
    ensembles: tuple[str, ...] = option(
        (),
        "of --ensemble, with commas between: none is one learner, heads and abe have "
        "as many as --num_learners says, hdc, bier and a_bier three; learner is one "
        "alone, of the size that those of heads and abe have. Where none are given "
        "none and abe, or with --rows=ensembles all but learner",
        choices=(*ENSEMBLES, "a_bier", "learner"),
    )
    normalizations: tuple[str, ...] = option(
        _NORMALIZED,
        "of --normalization, with commas between; meta is batch_instance with the meta "
        "step that the flags give",
        choices=_NORMALIZED,
    )
    rate_factors: tuple[float, ...] = option(
        (0.3, 1.0, 3.0), "times --learning_rate: the rates that are tried", lower=0
    )
    budgets: tuple[int, ...] = option(
        (),
        "steps of shorter trainings, rising, with commas between: with "
        "--rows=ensembles rates are tried at each, around what was best at the one "
        "before, and --steps trains with the best of the last",
    )
    seeds: int = option(
        3,
        "runs of each row of the table, with the seeds from --seed on; tries have one",
        lower=1,
        upper=1000,
    )

    def check_together(self) -> None:
        """Refuses a list without an end, or with something twice."""
        for field, values in (
            ("losses", self.losses),
            ("ensembles", self.networks),
            ("normalizations", self.normalizations),
            ("rate_factors", self.rate_factors),
        ):
            if not values or len(set(values)) < len(values):
                raise InputError(
                    f"--{field} must name something, and nothing twice. "
                    f"Received: {','.join(map(str, values))!r}."
                )

        budgets = list(self.budgets)
        if budgets != sorted(set(budgets)) or (budgets and budgets[0] < 1):
            raise InputError(
                "--budgets must be steps that rise. Received: "
                f"{','.join(map(str, budgets))!r}. Use for example 20,80."
            )
        if budgets and self.rows != "ensembles":
            raise InputError(
                "--budgets goes with --rows=ensembles. Received: "
                f"{','.join(map(str, budgets))} with {self.rows}. Leave it out."
            )
        if self.rows != "losses" and self.losses != tuple(SETTINGS):
            raise InputError(
                "--losses goes with --rows=losses: an ensemble has its own. Received: "
                f"{','.join(self.losses)}. Leave it out."
            )
        if self.rows == "normalizations":
            if self.ensembles:
                raise InputError(
                    "--rows=normalizations trains the network of --ensemble. Received: "
                    f"--ensembles={','.join(self.ensembles)}. Leave it out."
                )
        elif self.normalizations != _NORMALIZED:
            raise InputError(
                "--normalizations goes with --rows=normalizations. Received: "
                f"{','.join(self.normalizations)} with {self.rows}. Leave it out."
            )
        others = [name for name in self.networks if name not in _OF_ANY_LOSS]
        if self.rows == "losses" and others:
            raise InputError(
                f"--ensembles={others[0]} has a loss of its own, and goes with "
                "--rows=ensembles. Received: --rows=losses."
            )

    @property
    def networks(self) -> tuple[str, ...]:
        """The ensembles that are trained."""
        if self.ensembles:
            return self.ensembles
        return ("none", "abe") if self.rows == "losses" else (*ENSEMBLES, "a_bier")

    @property
    def names(self) -> tuple[str, ...]:
        """What the rows of the tables are."""
        if self.rows == "normalizations":
            return self.normalizations
        return self.losses if self.rows == "losses" else self.networks

    def tries(self, row: str, learning_rate: float) -> SweepConfig:
        """What is tried: learning rates, then values of a loss' setting.

        Args:
          row: Name of the metric loss, the ensemble or the normalisation.
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
        vary = [f"learning_rate={','.join(rates)}"]
        if self.rows == "losses":
            name, values = SETTINGS[row]
            vary.append(f"{name}={','.join(f'{value:g}' for value in values)}")
        return SweepConfig(vary=tuple(vary))
