"""Batches that hold as many images of each domain."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from abe_tf.data.sampling import ClassSampler
from abe_tf.errors import InputError

_DOMAIN_ORDER = 3


class InTurn:
    """Batches of domains, an image of each in turn.

    So every replica has as many of each, and whoever sees the domains in their order
    has a random one: it is another in each batch.

    Args:
      sampler: Gives them domain after domain.
      domains: D.
    """

    def __init__(self, sampler: DomainSampler, domains: int) -> None:
        self._sampler, self.domains = sampler, domains
        self.batch_size = sampler.batch_size
        self.num_small_classes = sampler.num_small_classes

    def batch(self, number: int) -> np.ndarray:
        """Positions of the images of a batch."""
        return self._sampler.batch(number).reshape(self.domains, -1).T.ravel()


class DomainSampler:
    """D domains x P classes x K images.

    An epoch has as many batches as there are domains to fill them, each at most once;
    each epoch puts them in a new random order. Within a domain classes come as in
    batches without domains; one of fewer than K images gives some of them again.

    Args:
      labels: `[images]` integer classes.
      domains: `[images]` names of domains.
      domains_per_batch: D.
      classes: P, of each domain.
      images: K.
      seed: Not negative, one number or several.
      class_names: Names of the classes for messages, by label.
      flag: Flag that says P, for messages.

    Raises:
      InputError: There are fewer than D domains, or one has fewer than P classes.
    """

    def __init__(
        self,
        labels: np.ndarray,
        domains: np.ndarray,
        domains_per_batch: int,
        classes: int,
        images: int,
        seed: int | Sequence[int],
        class_names: tuple[str, ...] | None = None,
        flag: str = "classes_per_batch",
    ) -> None:
        names = np.unique(domains)
        if domains_per_batch > len(names):
            raise InputError(
                "--domains_per_batch must be at most the number of domains that "
                f"train. Received: {domains_per_batch}, with {len(names)}."
            )
        self._each, self._count = domains_per_batch, len(names)
        self._seed = np.atleast_1d(seed).tolist()
        self._size = domains_per_batch * classes * images
        self._places, self._samplers = [], []
        for number, name in enumerate(names):
            (places,) = np.nonzero(domains == name)
            of_domain = labels[places]
            if len(np.unique(of_domain)) < classes:
                raise InputError(
                    f"--{flag} must be at most the classes of each domain that trains. "
                    f"Received: {classes}; {name} has "
                    f"{len(np.unique(of_domain))}. Lower it, or leave the domain out."
                )
            self._places.append(places)
            self._samplers.append(
                ClassSampler(
                    of_domain,
                    (images,) * classes,
                    # Equal counters of two domains give independent streams.
                    (*self._seed, number),
                    class_names,
                    repeats=True,
                )
            )
        self._order = functools.lru_cache(maxsize=2)(self._ordered)

    @property
    def batch_size(self) -> int:
        """Images in a batch."""
        return self._size

    @property
    def num_small_classes(self) -> int:
        """Classes of a domain that have fewer images there than a batch takes."""
        return sum(sampler.num_repeating_classes for sampler in self._samplers)

    def batch(self, number: int) -> np.ndarray:
        """Positions of the images of a batch, domain after domain."""
        epoch, place = divmod(number, self._count // self._each)
        chosen = self._order(epoch)[place * self._each : (place + 1) * self._each]
        return np.concatenate(
            [self._places[i][self._samplers[i].batch(epoch)] for i in chosen]
        )

    def in_turn(self) -> InTurn:
        """The same batches, with one image of each domain after the other."""
        return InTurn(self, self._each)

    def _ordered(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([*self._seed, _DOMAIN_ORDER, epoch])
        return rng.permutation(self._count)
