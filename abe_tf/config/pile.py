"""Flags of what a pile of photos tells of itself: copies, groups, labels."""

from __future__ import annotations

import dataclasses

from abe_tf.config.groups import Group, option


@dataclasses.dataclass(frozen=True)
class ListConfig(Group):
    """Where the list goes."""

    output: str | None = option(None, "a CSV file for the whole list")
    quiet: bool = option(False, "say nothing of how far it is")


@dataclasses.dataclass(frozen=True)
class CopiesConfig(Group):
    """Which photos are copies."""

    max_distance: float | None = option(
        None,
        "ensemble distance up to which photos are near copies; as far as photos of the "
        "index lie from smaller copies of themselves where none is given, which takes "
        "its model; 0 for none but the same bytes or pixels",
        lower=0,
        upper=2,
    )


@dataclasses.dataclass(frozen=True)
class GroupsConfig(Group):
    """How photos are grouped."""

    max_size: int = option(
        200,
        "photos of a group at most; a larger one falls apart at smaller distances",
        lower=2,
    )


@dataclasses.dataclass(frozen=True)
class LabelConfig(Group):
    """How photos are labelled by their neighbours."""

    neighbours: int = option(
        10, "labelled photos that have a vote, the nearest", lower=1, upper=1000
    )
    unsure: str | None = option(
        None, "a CSV file for photos that are not sure enough, with their best guess"
    )
