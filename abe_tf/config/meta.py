"""Flags of meta-learning: which normalisation holds in a place never seen."""

from __future__ import annotations

import dataclasses

from abe_tf.config.groups import Group, option
from abe_tf.errors import InputError

# Two to be meta-train, for the loss between them, and one to be meta-test.
FEWEST_DOMAINS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetaConfig(Group):
    """MetaBIN's second update of each step."""

    meta: bool = option(
        False,
        "MetaBIN: each step trains all but the mixtures of "
        "--normalization=batch_instance, and then those alone, on a second batch, half "
        "of whose domains play those never seen",
    )
    meta_train_domains: int | None = option(
        None,
        "domains of the second batch that play those that train; half of them, or one "
        "more, where none is given",
        lower=2,
    )
    meta_classes: int = option(4, "classes of each domain in the second batch", lower=2)
    meta_images: int = option(4, "images of each class in the second batch", lower=2)
    meta_step: float = option(
        0.1,
        "largest inner step, times the rate of rho; it rises from a hundredth of this "
        "and falls again",
        lower=0,
    )
    meta_cycle_steps: int = option(
        100, "steps in which the inner step rises and falls", lower=2
    )
    meta_second_order: bool = option(
        False,
        "let the outer gradient pass through the inner one, as the paper prints it; "
        "it was released without",
    )

    def check_meta(self) -> None:
        """Refuses settings of a second update that is not done."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            given = field.name.startswith("meta_") and value != field.default
            if given and not self.meta:
                raise InputError(
                    f"--{field.name} goes with --meta. Received: {value} without. "
                    f"Leave --{field.name} out."
                )

    def split_of(self, domains: int) -> tuple[int, int]:
        """How many of a batch's domains are meta-train, and how many meta-test.

        Raises:
          InputError: There are too few.
        """
        train = self.meta_train_domains or max(2, (domains + 1) // 2)
        if domains < FEWEST_DOMAINS or train >= domains:
            raise InputError(
                f"--meta needs {max(FEWEST_DOMAINS, train + 1)} domains that train, of "
                f"which {train} are meta-train. Received: {domains}. Bring more, or "
                "leave --meta out."
            )
        return train, domains - train
