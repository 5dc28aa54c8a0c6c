"""Why hits were found: pictures of what matches, for a page that is written."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from abe_tf.errors import InputError
from abe_tf.figures import heat
from abe_tf.photo_index.asking import Asker
from abe_tf.photo_index.contents import BrokenPhotoError, content_of
from abe_tf.photo_index.hits import Hit

if TYPE_CHECKING:
    from abe_tf.photo_index.reading import Box


def explained(
    asker: Asker, query: bytes, box: Box | None, hits: Sequence[Hit]
) -> list[tuple[bytes, bytes] | None]:
    """Draws what matches of a query and of each of its hits.

    What cannot be explained is said on standard error.

    Args:
      asker: Holds the model.
      query: The bytes of a file.
      box: A part of it, as for `Asker.embed`.
      hits: What was found.

    Returns:
      Two PNG files for each hit, or `None`.
    """
    pictures: list[tuple[bytes, bytes] | None] = []
    for hit in hits:
        try:
            found = content_of(hit.places[0].path)
            why = asker.explain(query, found, box)
        except BrokenPhotoError as error:
            print(f"{hit.places[0].path!r} is not explained: {error}", file=sys.stderr)
            pictures.append(None)
            continue
        except InputError as error:
            print(f"The page does not say why: {error}", file=sys.stderr)
            return [None] * len(hits)
        peak = max(float(np.abs(one).max()) for one in why.maps())
        one, other = (
            heat.png(heat.over(side.view, places, peak))
            for side, places in zip(why.sides, why.maps(), strict=True)
        )
        pictures.append((one, other))
    return pictures
