"""Which sampler fills the batches."""

from __future__ import annotations

from abe_tf.config.batches import BatchesConfig
from abe_tf.data.domain_sampling import DomainSampler
from abe_tf.data.examples import Examples
from abe_tf.data.sampling import ClassSampler, Sampler, UniformSampler


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
        assert examples.domains is not None
        return DomainSampler(
            *(examples.labels, examples.domains, domains, each, images, seed),
            examples.class_names,
        )
    return ClassSampler(
        examples.labels, config.images_per_slot, seed, examples.class_names
    )
