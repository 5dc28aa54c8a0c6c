"""Which domains train, validate and test."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence

import numpy as np

from abe_tf.config.data import DataConfig
from abe_tf.data import splitting
from abe_tf.data.examples import Examples
from abe_tf.data.photos import normalised
from abe_tf.errors import InputError


def by_domain(
    config: DataConfig, examples: Examples, named: np.ndarray | None
) -> tuple[np.ndarray, bool]:
    """The split of each image where whole domains test.

    Args:
      config: With `test_domains`.
      examples: All images.
      named: `[images]` names of splits, or `None` where the data set does not say.

    Returns:
      `[images]` names of splits, "" for images of classes that train in domains that
      test, or the other way round; and whether classes may train and test, because
      nothing but the domain says which.

    Raises:
      InputError: A domain is none.
    """
    tested = _within(examples, "test_domains", config.test_domains)
    shared = named is None and not (config.train_classes or config.test_classes)
    if shared:
        return np.where(tested, "test", "train"), True
    if named is None:
        named, _ = splitting.by_class(config, examples)
    fits = np.where(tested, np.isin(named, splitting.TESTED), named == "train")
    out = np.count_nonzero(~fits & (named != ""))
    if out:
        print(
            f"Left out, photos of training classes in {', '.join(config.test_domains)} "
            f"and of test classes elsewhere: {out:,}.",
            file=sys.stderr,
        )
    return np.where(fits, named, ""), False


def with_validation(
    config: DataConfig, examples: Examples, named: np.ndarray
) -> np.ndarray:
    """The split of each image, with domains held out from those that train.

    Args:
      config: With `validation_domains`.
      examples: All images.
      named: `[images]` names of splits; "validation" of classes that are held out.

    Raises:
      InputError: A domain is none, or no image of it is left to validate.
    """
    chosen = _within(examples, "validation_domains", config.validation_domains)
    train, of_classes = named == "train", named == "validation"
    validates = chosen & (of_classes if of_classes.any() else train)
    if not validates.any():
        raise InputError(
            "--validation_domains must have photos that would train. Received: "
            f"{', '.join(config.validation_domains)}, with none."
        )
    out = (of_classes & ~chosen) | (train & chosen & ~validates)
    if out.any():
        print(
            "Left out, photos of validation classes in domains that train, or of "
            f"training classes in those that validate: {np.count_nonzero(out):,}.",
            file=sys.stderr,
        )
    named = np.where(out, "", named)
    return np.where(validates, "validation", named)


def required(examples: Examples, flag: str) -> np.ndarray:
    """The domain of each image, `[images]` text.

    Raises:
      InputError: The photos have none, or some of them.
    """
    if examples.domains is None:
        raise InputError(
            f"--{flag} needs photos with domains: a column domain in --image_list, "
            "--domains=folder or --dataset=omniglot. Received: photos without."
        )
    blank = np.flatnonzero(examples.domains == "")
    if len(blank):
        raise InputError(
            f"--{flag} needs a domain for each photo. Received: {len(blank):,} "
            f"without, such as {str(examples.names[blank[0]])!r}. Fill the column."
        )
    return examples.domains


def _within(examples: Examples, flag: str, names: Sequence[str]) -> np.ndarray:
    """Which images are of some domains, `[images]` bool.

    Raises:
      InputError: The photos have no domains, or none of such a name.
    """
    domains = required(examples, flag)
    known = sorted(set(domains))
    names = [normalised(name) for name in names]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3, 0)
            raise InputError(
                f"--{flag} must name domains of the photos. Received: {name!r}. There "
                f"are {len(known)}; the nearest: {', '.join(near)}."
            )
    return np.isin(domains, names)
