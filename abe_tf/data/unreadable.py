"""Images that cannot be read: which, and why; and what no image is to blame for."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from abe_tf.errors import InputError

if TYPE_CHECKING:
    from abe_tf.data.pipeline import Loader

# What TensorFlow raises for a file that is broken, gone or unreadable; the last one
# for whatever Python's own reading raises. Memory that runs out is none of them.
BROKEN_IMAGE = (
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.DataLossError,
    tf.errors.PermissionDeniedError,
    tf.errors.FailedPreconditionError,
    tf.errors.UnknownError,
)
# So many are named in one line.
_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class Unreadable:
    """An image that cannot be read: its position among the examples, name, reason."""

    position: int
    name: str
    reason: str


class UnreadableImageError(InputError):
    """Images cannot be read.

    Args:
      bad: The images that cannot be read, at least one.
      advice: What the user can do beside mending them.

    Attributes:
      bad: The images that cannot be read.
    """

    def __init__(
        self,
        bad: Sequence[Unreadable],
        advice: str = "leave such images out with --on_bad_image=skip",
    ) -> None:
        self.bad = bad
        shown = "; ".join(f"{one.name!r}: {one.reason}" for one in bad[:_SHOWN])
        more = f"; and {len(bad) - _SHOWN:,} more" if len(bad) > _SHOWN else ""
        count = f"{len(bad):,} that are not: " if len(bad) > 1 else ""
        it = "them" if len(bad) > 1 else "it"
        super().__init__(
            "Every image must be a photo that can be read. "
            f"Received: {count}{shown}{more}. Repair or remove {it}, or {advice}."
        )


@contextlib.contextmanager
def unreadable_images_named(
    loader: Loader, likely: Callable[[], Iterable[int]] = tuple
) -> Iterator[None]:
    """Names the image that breaks a pipeline inside, which itself cannot.

    What no image can be to blame for is left as it is, at once.

    Args:
      loader: What the pipeline loads with.
      likely: Gives the positions of the images that were due when it broke.

    Raises:
      UnreadableImageError: An image cannot be read.
    """
    try:
        yield
    except BROKEN_IMAGE:
        for bad in unreadable(loader, likely()):
            raise UnreadableImageError([bad]) from None
        count = len(loader.examples)
        print(f"Looking for the image that cannot be read among {count:,} ...")
        for bad in unreadable(loader, range(count)):
            raise UnreadableImageError([bad]) from None
        raise


def unreadable(loader: Loader, positions: Iterable[int]) -> Iterator[Unreadable]:
    """Decodes images one by one, and gives those that cannot be read.

    Args:
      loader: Decodes them.
      positions: Positions of the images among the loader's examples.
    """
    for position in positions:
        try:
            loader.traced_for_evaluation(tf.constant(position, tf.int64))
        except BROKEN_IMAGE as error:
            name = str(loader.examples.names[position])
            yield Unreadable(int(position), name, reason_of(error))


def reason_of(error: tf.errors.OpError) -> str:
    """Why an image cannot be decoded, for use within a sentence.

    Below the reason stands the node's trace; before it, where in the program the node
    was made, or the function's name.
    """
    reason = error.message.split("\n\t [[")[0].splitlines()[-1]
    reason = reason.split("}} ")[-1].removeprefix("assertion failed: ")
    return reason.rstrip(".")
