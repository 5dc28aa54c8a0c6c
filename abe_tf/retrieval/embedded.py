"""Images as a network sees them: what every measure takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from abe_tf.errors import InputError

_NAMED = 5

# What rounding leaves of vectors of one length, as a share of it.
_SAME_LENGTH = 1e-3


@dataclasses.dataclass(frozen=True)
class Embedded:
    """Embeddings with labels.

        >>> x = np.array([[[1.0, 0.0]], [[0.8, 0.6]], [[0.0, 1.0]]], np.float32)
        >>> embedded = Embedded(x, np.array([0, 0, 1]), ["a.jpg", "b.jpg", "c.jpg"])
        >>> len(embedded), embedded.num_learners, embedded.name(2)
        (3, 1, 'c.jpg')

    Attributes:
      learner_embeddings: `[images, learners, dim]` floating point; of the lengths
        of a layout where they come from our networks, of any where from elsewhere.
      labels: `[images]` integer classes.
      names: `[images]`, what to call an image; its number where `None`.
      cameras: `[images]` text, what took it; `None` where nobody has said.

    Raises:
      InputError: There is no image, the shapes disagree, or an embedding is not
        finite, which no distance could rank.
    """

    learner_embeddings: np.ndarray
    labels: np.ndarray
    names: Sequence[str] | None = None
    cameras: np.ndarray | None = None

    def __post_init__(self) -> None:
        shape = self.learner_embeddings.shape
        if len(shape) != 3 or 0 in shape:
            raise InputError(
                "Embeddings must be [images, learners, dim], with at least one image. "
                f"Received: shape {list(shape)}."
            )
        for name in ("labels", "names", "cameras"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self):
                raise InputError(
                    f"Each embedding needs one of the {name}. "
                    f"Received: {len(self)} embeddings and {len(values)} {name}."
                )
        broken = np.flatnonzero(~np.isfinite(self.learner_embeddings).all(axis=(1, 2)))
        if len(broken):
            named = ", ".join(self.name(image) for image in broken[:_NAMED])
            more = " and others" if len(broken) > _NAMED else ""
            raise InputError(
                f"Embeddings must be finite. Received: {len(broken)} that are not, of "
                f"{named}{more}. The model diverged: lower its learning rate."
            )

    def __len__(self) -> int:
        return len(self.learner_embeddings)

    @property
    def num_learners(self) -> int:
        """How many learners."""
        return self.learner_embeddings.shape[1]

    def name(self, image: int) -> str:
        """What to call an image."""
        return f"image {image}" if self.names is None else str(self.names[image])

    @property
    def lengths(self) -> tuple[float, ...] | None:
        """Length of each learner's embeddings; `None` where these are not of one."""
        each = _lengths(self.learner_embeddings)
        lengths = each.mean(0)
        if not len(each) or np.any(np.abs(each - lengths) > _SAME_LENGTH * lengths):
            return None
        return tuple(lengths.tolist())

    def concatenated(self) -> np.ndarray:
        """`[images, learners * dim]`."""
        return self.learner_embeddings.reshape(len(self), -1)

    def where(self, chosen: np.ndarray) -> Embedded:
        """The images at some positions, or for which a mask is true."""
        positions = np.arange(len(self))[chosen]
        names = None if self.names is None else [self.names[i] for i in positions]
        embeddings = self.learner_embeddings[positions]
        cameras = None if self.cameras is None else self.cameras[positions]
        labels = np.asarray(self.labels)[positions]
        return Embedded(embeddings, labels, names, cameras)


def of_unit_length(learner_embeddings: np.ndarray) -> np.ndarray:
    """The directions of learner embeddings, whatever they count.

    Args:
      learner_embeddings: `[images, learners, dim]` floating point.

    Returns:
      The same where they are of unit length but for rounding; zeros stay zeros.
    """
    lengths = _lengths(learner_embeddings)[..., np.newaxis]
    if np.all(np.abs(lengths - 1) < _SAME_LENGTH):
        return learner_embeddings
    return learner_embeddings / np.where(lengths > 0, lengths, 1)


def _lengths(learner_embeddings: np.ndarray) -> np.ndarray:
    """`[images, learners]`, without a copy of all embeddings on the way."""
    x = learner_embeddings
    return np.sqrt(np.einsum("imd,imd->im", x, x))
