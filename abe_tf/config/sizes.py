"""Sizes of images: the side of a square, or height and width."""

from __future__ import annotations

import re

from absl import flags

ImageSize = int | tuple[int, int]


def sides(size: ImageSize) -> tuple[int, int]:
    """Height and width.

    >>> sides(224), sides((256, 128))
    ((224, 224), (256, 128))
    """
    return (size, size) if isinstance(size, int) else size


def as_size(height: int, width: int) -> ImageSize:
    """A size of these sides: one number where they are equal."""
    return height if height == width else (height, width)


class SizeParser(flags.ArgumentParser):
    """Reads `224` and `256x128`."""

    syntactic_help = "a side, or HEIGHTxWIDTH"

    def parse(self, argument: str | ImageSize) -> ImageSize:
        """A size from what was typed.

        Raises:
          ValueError: It is none.
        """
        if not isinstance(argument, str):
            return argument
        found = re.fullmatch(r"(\d+)(?:x(\d+))?", argument, re.ASCII)
        if not found:
            raise ValueError("a size must be a side, or HEIGHTxWIDTH, such as 256x128")
        height = int(found[1])
        return as_size(height, int(found[2]) if found[2] else height)

    def flag_type(self) -> str:
        """What absl calls it."""
        return "size"


def as_json(size: ImageSize) -> int | list[int]:
    """As JSON gives it back."""
    return size if isinstance(size, int) else list(size)


def as_text(size: ImageSize) -> str:
    """As it is typed.

    >>> as_text(224), as_text((256, 128))
    ('224', '256x128')
    """
    return str(size) if isinstance(size, int) else "x".join(map(str, size))
