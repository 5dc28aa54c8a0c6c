"""What a training says before its first step."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from abe_tf.config.data import DataConfig
from abe_tf.data.domain_sampling import InTurn
from abe_tf.data.examples import Splits
from abe_tf.data.sampling import Sampler

Say = Callable[[str], None]
_NAMED = 8


def images(say: Say, splits: Splits, sampler: Sampler, data: DataConfig) -> None:
    """How many images there are, and which classes are too small.

    Args:
      say: Takes a line.
      splits: The images.
      sampler: What fills the batches.
      data: The data flags.
    """
    for name in ("train", "validation", "test"):
        examples = getattr(splits, name)
        domains = ""
        names = examples.domain_names()
        if names:
            more = ", ..." if len(names) > _NAMED else ""
            named = ", ".join(names[:_NAMED])
            domains = f"; number of domains {len(names)}: {named}{more}"
        classes = examples.num_classes()
        say(f"{name}: {len(examples)} images of {classes} classes{domains}")
    if splits.gallery is not None:
        say(f"gallery of the test: {len(splits.gallery)} images")
    small = sampler.num_small_classes
    if small and data.batches == "domains":
        say(f"{small} times a class has too few images in a domain, and repeats them")
    elif small:
        say(f"{small} training classes have one image, and come in negative pairs only")


def second_batch(say: Say, sampler: InTurn) -> None:
    """What the meta update sees at each step.

    Args:
      say: Takes a line.
      sampler: What fills its batches.
    """
    small = sampler.num_small_classes
    again = f"; {small} times a class has too few and repeats them" if small else ""
    say(
        f"second batch of each step: {sampler.batch_size} images of "
        f"{sampler.domains} domains{again}"
    )


def network(say: Say, built: tf.keras.Model, replicas: int, workers: int) -> None:
    """How large the network is, and how many share a batch.

    Args:
      say: Takes a line.
      built: The network.
      replicas: Number of replicas.
      workers: Number of processes.
    """
    if replicas > 1:
        say(f"{replicas} replicas in {workers} process(es) share each batch")
    say(f"{built.name}: {built.count_params():,} parameters")
