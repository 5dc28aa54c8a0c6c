"""Flags that say what a batch is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Self

from abe_tf.config.groups import Group, option
from abe_tf.config.loss import OF_NEIGHBOURS

# Of flags that follow the data where they are not given.
CLASSES_PER_BATCH, IMAGES_PER_CLASS, CLASSES_PER_DOMAIN = 16, 4, 4


# By keyword, so that the fields of what inherits come first.
@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchesConfig(Group):
    """How many images of how many classes a step sees."""

    batches: str = option(
        "classes",
        "P classes x K images (classes), positive and negative pairs (pairs; the "
        "paper's), any images (uniform; Proxy-NCA's; not with "
        f"--metric_loss={'|'.join(OF_NEIGHBOURS)}), or P classes x K images of each "
        "of D domains (domains). An epoch has as many batches as there are different "
        "classes, images or domains to fill them: none comes twice in it, and those "
        "left over come in others",
        choices=("classes", "pairs", "uniform", "domains"),
    )
    domains_per_batch: int | None = option(
        None,
        "D, domains in a batch of --batches=domains; where none is given all that "
        "train",
        lower=2,
    )
    classes_per_batch: int | None = option(
        None,
        "P, classes in a batch of P x K images; where none is given 16, or as many as "
        "train; of each domain 4, or as many as the smallest has",
        lower=2,
    )
    images_per_class: int | None = option(
        None,
        "K, images of each class in a batch; where none is given 4, or as many as the "
        "smallest training class has",
        lower=2,
    )
    positive_pairs: int = option(
        16, "pairs of one class in a batch, each of another class", lower=1
    )
    negative_pairs: int = option(
        16, "pairs of two classes in a batch, each of two others", lower=0
    )
    images_per_batch: int = option(
        64, "images in a batch of --batches=uniform", lower=2
    )

    @property
    def batch_size(self) -> int:
        """Images in a batch, over all replicas."""
        return sum(self.images_per_slot)

    @property
    def images_per_slot(self) -> tuple[int, ...]:
        """How many images each class of a batch gives; no class has two slots.

        In uniform batches each image has a slot, whatever its class.
        """
        if self.batches == "pairs":
            return (2,) * self.positive_pairs + (1,) * (2 * self.negative_pairs)
        if self.batches == "uniform":
            return (1,) * self.images_per_batch
        usual = CLASSES_PER_BATCH
        if self.batches == "domains":
            usual = CLASSES_PER_DOMAIN
        classes = self.classes_per_batch or usual
        each = (self.images_per_class or IMAGES_PER_CLASS,) * classes
        # Before the data are known: the fewest that meta-learning takes.
        return each * (self.domains_per_batch or 3 if self.batches == "domains" else 1)

    def fitted_to_domains(self, classes: Sequence[int]) -> Self:
        """Batches of domains as large as the data allow.

        Args:
          classes: Number of classes of each domain that trains.
        """
        return dataclasses.replace(
            self,
            domains_per_batch=self.domains_per_batch or max(2, len(classes)),
            classes_per_batch=self.classes_per_batch
            or max(2, min(CLASSES_PER_DOMAIN, *classes)),
            images_per_class=self.images_per_class or IMAGES_PER_CLASS,
        )

    def fitted(self, counts: Sequence[int]) -> Self:
        """Batches as large as the data allow, where the flags do not say how large.

        Args:
          counts: Images of each training class, two at least.
        """
        if self.batches != "classes" or not counts:
            return self
        return dataclasses.replace(
            self,
            classes_per_batch=self.classes_per_batch
            or max(2, min(CLASSES_PER_BATCH, len(counts))),
            images_per_class=self.images_per_class or min(IMAGES_PER_CLASS, *counts),
        )
