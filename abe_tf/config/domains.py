"""Flags that say where photos were taken, and which places train."""

from __future__ import annotations

import dataclasses

from abe_tf.config.batches import BatchesConfig
from abe_tf.config.groups import option
from abe_tf.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class DomainsConfig(BatchesConfig):
    """Domains: shops, cameras, studios; an alphabet each in omniglot."""

    domains: str | None = option(
        None,
        "how --data_dir tells where photos were taken: a folder for each domain, with "
        "the class folders in it; a list has a column domain instead",
        choices=("folder",),
    )
    test_domains: tuple[str, ...] = option(
        (),
        "domains that test, and do not train, with commas between; of the classes "
        "that test where the flags or the list name those, of all otherwise",
    )
    validation_domains: tuple[str, ...] = option(
        (),
        "domains held out from training whose photos choose the best checkpoint, with "
        "commas between; of the classes that --validation_classes holds out, or of "
        "all that train",
    )

    def check_domains(self) -> None:
        """Refuses a domain that is to be two things."""
        both = set(self.test_domains) & set(self.validation_domains)
        if both:
            raise InputError(
                "--test_domains and --validation_domains must not share a domain. "
                f"Received: {min(both)} in both."
            )
