"""The flags of a run: which there are, which may change, which runs are repetitions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from abe_tf.config.data import DataConfig
from abe_tf.config.groups import Group
from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.training import TrainingConfig

# What a run was started with, in the order of its flagfile.
GROUPS: tuple[type[Group], ...] = (ModelConfig, DataConfig, LossConfig, TrainingConfig)
# May change between the sessions of one run: where things lie, what becomes of photos
# that cannot be read, how often it reports.
_MAY_CHANGE = {
    *("data_dir", "manual_dir", "download", "image_list", "cache"),
    *("on_bad_image", "check", "cache_dir", "cache_gb", "max_pixels"),
    *("encoder_weights", "init_from", "strategy"),
    *("log_every", "eval_every", "checkpoint_every", "keep", "jit"),
}
# A run may go further than it was meant to.
_MAY_GROW = "steps"
# Where nothing is stated, those of the run's first session hold.
FOLLOW_DATA = ("classes_per_batch", "images_per_class")


def names() -> set[str]:
    """Names of all flags that a run is started with."""
    return {
        field.name
        for group in GROUPS
        for field in dataclasses.fields(group)  # type: ignore[arg-type]
    }


def values(configs: Sequence[Group]) -> dict[str, Any]:
    """The flags of some groups, by name."""
    found: dict[str, Any] = {}
    for config in configs:
        found |= dataclasses.asdict(config)  # type: ignore[call-overload]
    return found


def differing(ours: Sequence[Group], theirs: Sequence[Group]) -> list[str]:
    """Flags with which a run cannot go on, as text.

    Args:
      ours: What it is to go on with.
      theirs: What it was started with.
    """
    now, before = values(ours), values(theirs)
    return [
        f"--{name}={now[name]} (was {before[name]})"
        for name in now
        if name not in _MAY_CHANGE
        and now[name] != before[name]
        and not (name in FOLLOW_DATA and now[name] is None)
        and not (name == _MAY_GROW and now[name] > before[name])
    ]


def settings(configs: Sequence[Group]) -> dict[str, Any]:
    """Flags without seed and what may change: equal for repetitions of a run."""
    found = values(configs)
    passed_over = {*_MAY_CHANGE, "seed"}
    return {name: found[name] for name in found if name not in passed_over}
