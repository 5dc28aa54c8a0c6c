"""Which sampler fills the batches."""

from __future__ import annotations

import numpy as np

from abe_tf.config.batches import BatchesConfig
from abe_tf.config.meta import MetaConfig
from abe_tf.data.domain_sampling import DomainSampler, InTurn
from abe_tf.data.domains import required
from abe_tf.data.examples import Examples
from abe_tf.data.sampling import ClassSampler, Sampler, UniformSampler

_META = 1


def of_meta(
    config: BatchesConfig, meta: MetaConfig, examples: Examples, seed: int
) -> InTurn:
    """The batches of the meta update: of all domains that train, or of some each time.

    Args:
      config: Says how many domains.
      meta: Says how many classes and images of each.
      examples: The images that train.
      seed: Not negative.

    Raises:
      InputError: There are too few domains or classes.
    """
    of_images = required(examples, "meta")
    domains = config.domains_per_batch or len(np.unique(of_images))
    meta.split_of(domains)
    return DomainSampler(
        *(examples.labels, of_images, domains),
        *(meta.meta_classes, meta.meta_images),
        # Other batches than those of the same sizes that train all else.
        (seed, _META),
        examples.class_names,
        flag="meta_classes",
    ).in_turn()


def create(config: BatchesConfig, examples: Examples, seed: int) -> Sampler:
    """The sampler that `--batches` names.

    Args:
      config: What a batch is made of, fitted to the data.
      examples: The images that train.
      seed: Not negative.

    Raises:
      InputError: There are too few images, classes or domains.
    """
    if config.batches == "uniform":
        return UniformSampler(len(examples), config.images_per_batch, seed)
    if config.batches == "domains":
        domains, each = config.domains_per_batch, config.classes_per_batch
        images = config.images_per_class
        assert domains and each and images  # fitted
        of_images = required(examples, "batches=domains")
        return DomainSampler(
            *(examples.labels, of_images, domains, each, images, seed),
            examples.class_names,
        )
    return ClassSampler(
        examples.labels, config.images_per_slot, seed, examples.class_names
    )
