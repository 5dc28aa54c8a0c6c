"""Images with labels, wherever their bytes are."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Examples:
    """Images with labels, read one by one.

    Attributes:
      keys: `[images]` int64, what `read` takes.
      labels: `[images]` int32 classes, counted over the whole data set.
      names: What to call an image in a message: its path, or where it comes from.
      class_names: Names of all classes of the data set, by label.
      read: Graph function from a scalar int64 key to the bytes of the image file.
      boxes: `[images, 4]` float32, left, top, right, bottom of the part that is used,
        in pixels of the upright image; `None` where the whole image is.
      files: Paths that `read` reads, one an example; `None` where it reads no files.
      domains: `[images]` text, where each was taken; `None` where nobody has said.
      cameras: `[images]` text, by what; `None` where nobody has said.
    """

    keys: np.ndarray
    labels: np.ndarray
    names: Sequence[str]
    class_names: tuple[str, ...]
    read: Callable[[tf.Tensor], tf.Tensor]
    boxes: np.ndarray | None = None
    files: Sequence[str] | None = None
    domains: np.ndarray | None = None
    cameras: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def where(self, mask: np.ndarray) -> Examples:
        """The examples for which `[images]` bool is true."""
        chosen = np.flatnonzero(mask)
        return dataclasses.replace(
            self,
            keys=self.keys[chosen],
            labels=self.labels[chosen],
            names=[self.names[index] for index in chosen],
            boxes=None if self.boxes is None else self.boxes[chosen],
            files=None if self.files is None else [self.files[i] for i in chosen],
            domains=None if self.domains is None else self.domains[chosen],
            cameras=None if self.cameras is None else self.cameras[chosen],
        )

    def evenly(self, most: int) -> Examples:
        """At most so many of the examples, evenly spaced."""
        chosen = np.zeros(len(self), bool)
        chosen[:: -(-len(self) // most) if len(self) else 1] = True
        return self.where(chosen)

    def num_classes(self) -> int:
        """How many classes have an image here."""
        return len(np.unique(self.labels))

    def domain_names(self) -> list[str]:
        """Domains that have an image here, in order; none where nobody has said."""
        return [] if self.domains is None else np.unique(self.domains).tolist()


@dataclasses.dataclass(frozen=True)
class Splits:
    """Sets of images; training, validation and test share no class (zero-shot).

    Where domains are held out and nothing says which classes, they share no domain.

    Attributes:
      train: Images that losses see.
      validation: Images of classes held out from the training classes; may be empty.
      test: Images of classes that neither training nor any choice may look at; they
        are the queries.
      gallery: Where the queries look for their classes; among each other where `None`.
      known_classes: Whether test images are of classes that train, because there are
        too few to hold any out.
      test_domains: Domains that test and that no training saw, where some are held out.
    """

    train: Examples
    validation: Examples
    test: Examples
    gallery: Examples | None = None
    known_classes: bool = False
    test_domains: tuple[str, ...] = ()


def from_paths(
    paths: Sequence[str],
    labels: Sequence[int] | np.ndarray,
    class_names: tuple[str, ...],
    boxes: np.ndarray | None = None,
) -> Examples:
    """Image files."""
    examples = all_of(labels, paths, class_names, reader(paths), boxes)
    return dataclasses.replace(examples, files=paths)


def reader(paths: Sequence[str]) -> Callable[[tf.Tensor], tf.Tensor]:
    """A graph function from the position of a path to the bytes of the file."""
    # Made here: inside a graph function it would become a constant of the graph.
    # As bytes: a name need not be UTF-8.
    table = tf.constant([os.fsencode(path) for path in paths], tf.string)
    return lambda key: tf.io.read_file(tf.gather(table, key))


def in_memory(encoded: Sequence[bytes]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Reads what is held in memory."""
    table = tf.constant(list(encoded), tf.string)
    return lambda key: tf.gather(table, key)


def all_of(
    labels: Sequence[int] | np.ndarray,
    names: Sequence[str],
    class_names: tuple[str, ...],
    read: Callable[[tf.Tensor], tf.Tensor],
    boxes: np.ndarray | None = None,
) -> Examples:
    """Examples whose keys count from 0."""
    keys = np.arange(len(labels))
    return Examples(keys, np.array(labels, np.int32), names, class_names, read, boxes)
