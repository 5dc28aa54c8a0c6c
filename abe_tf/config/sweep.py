"""Flags of a sweep: what is varied, and how often."""

from __future__ import annotations

import dataclasses
import itertools

from abe_tf.config.groups import Group, option
from abe_tf.errors import InputError

# The runs of a sweep differ in their seed by themselves.
_NOT_VARIED = ("seed",)


@dataclasses.dataclass(frozen=True)
class SweepConfig(Group):
    """Factors and seeds."""

    vary: tuple[str, ...] = option(
        (),
        "FLAG=V1,V2,...: a factor and its values, around what the flagfile says; may "
        "come several times, each factor is varied alone",
        repeated=True,
    )
    grid: bool = option(False, "run every combination of the factors' values")
    seeds: int = option(
        1, "runs of each setting, with the seeds from --seed on", lower=1, upper=1000
    )

    def check_together(self) -> None:
        """Refuses a factor that is none, has no value, or comes twice."""
        names = [_factor(text)[0] for text in self.vary]
        for name in names:
            if names.count(name) > 1 or name in _NOT_VARIED:
                raise InputError(
                    "--vary must name each factor once, and not the seed. "
                    f"Received: {name!r}."
                )

    def factors(self) -> dict[str, tuple[str, ...]]:
        """The values of each factor, as written.

        Raises:
          InputError: There is no factor.
        """
        if not self.vary:
            raise InputError(
                "--vary must name a factor, such as --vary=lambda_div=0,1. "
                "Received: none."
            )
        return dict(_factor(text) for text in self.vary)

    def settings(self) -> list[dict[str, str]]:
        """What each setting changes, by the flag's name; none twice."""
        factors = self.factors()
        if self.grid:
            combinations = itertools.product(*factors.values())
            return [dict(zip(factors, c, strict=True)) for c in combinations]
        return [{name: v} for name, values in factors.items() for v in values]


def _factor(text: str) -> tuple[str, tuple[str, ...]]:
    name, equals, values = text.partition("=")
    listed = tuple(value for value in values.split(",") if value)
    if not (name and equals and listed) or len(set(listed)) < len(listed):
        raise InputError(
            f"--vary must be FLAG=V1,V2,... with different values. Received: {text!r}."
        )
    return name, listed
