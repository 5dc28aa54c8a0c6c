"""Flags of the triplets and the classifier that re-identification trains with."""

from __future__ import annotations

import dataclasses

from abe_tf.config.groups import Group, option
from abe_tf.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierConfig(Group):
    """A classifier beside the metric loss."""

    margin_hard: float = option(
        0.3,
        "margin of triplet_hard, and of the triplets of --meta, of the plain distance",
        lower=0,
    )
    classifier_weight: float = option(
        0.0,
        "weight of a classifier of the training classes beside the metric loss, with "
        "weights of its own for each learner; 0 for none",
        lower=0,
    )
    label_smoothing: float = option(
        0.1,
        "share of the classifier's target that the other classes get together",
        lower=0,
        upper=0.9,
    )

    def check_classifier(self) -> None:
        """Refuses a setting of a classifier that is not there."""
        default = type(self).label_smoothing
        if not self.classifier_weight and self.label_smoothing != default:
            raise InputError(
                "--label_smoothing goes with --classifier_weight above 0. "
                f"Received: {self.label_smoothing} with 0. Leave it out."
            )
