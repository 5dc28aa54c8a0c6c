"""Why hits were found: pictures of what matches, for a page that is written."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from abe_tf.errors import InputError
from abe_tf.figures import heat
from abe_tf.photo_index.asking import Asker
from abe_tf.photo_index.contents import BrokenPhotoError, content_of
from abe_tf.photo_index.hits import Hit
from abe_tf.retrieval.explanation import Explanation, Places, explain, without

if TYPE_CHECKING:
    from abe_tf.photo_index.reading import Box

# Each takes the network a tenth of a second, and the page as much room as a photo.
MOST = 20


def explained(
    asker: Asker,
    queries: Sequence[tuple[bytes, Box | None]],
    hits: Sequence[Hit],
) -> list[tuple[bytes, bytes] | None]:
    """Draws what matches of each hit and of the query that it is nearest to.

    What cannot be explained is said on standard error.

    Args:
      asker: Holds the model.
      queries: The bytes of files, each with the part of it that is meant.
      hits: What was found; the first `MOST` are explained.

    Returns:
      Two PNG files for each hit, or `None`.
    """
    pictures: list[tuple[bytes, bytes] | None] = [None] * len(hits)
    split: dict[int, Places] = {}
    for number, hit in enumerate(hits[:MOST]):
        try:
            if hit.like not in split:
                split[hit.like] = asker.places(*queries[hit.like])
            other = asker.places(content_of(hit.places[0].path))
        except BrokenPhotoError as error:
            print(f"{hit.places[0].path!r} is not explained: {error}", file=sys.stderr)
            continue
        except InputError as error:
            print(f"The page does not say why: {error}", file=sys.stderr)
            break
        pictures[number] = _drawn(explain(split[hit.like], other))
    whole = sorted({number for one in split.values() for number in one.not_split})
    if whole:
        print(without(whole), file=sys.stderr)
    return pictures


def _drawn(why: Explanation) -> tuple[bytes, bytes]:
    one, other = heat.over_both([side.view for side in why.sides], why.maps())
    return heat.png(one), heat.png(other)
