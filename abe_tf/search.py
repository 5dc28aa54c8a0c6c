"""Finds the same kind of thing in an index of photos.

python -m abe_tf.search --index=INDEX IMAGE
python -m abe_tf.search --index=INDEX IMAGE ANOTHER --unlike=NOT_THIS --top_k=20 --json
python -m abe_tf.search --index=INDEX IMAGE --box=40,60,200,220 --paths | xargs ...
"""

from __future__ import annotations

import sys

import numpy as np

from abe_tf.config import command
from abe_tf.config.index import (
    FilterConfig,
    IndexConfig,
    SearchConfig,
    SourceConfig,
    SureConfig,
)
from abe_tf.errors import InputError
from abe_tf.photo_index import answers
from abe_tf.photo_index.asking import Asker
from abe_tf.photo_index.contents import BrokenPhotoError, content_of
from abe_tf.photo_index.hits import Hit
from abe_tf.photo_index.searching import Moment, moment
from abe_tf.photo_index.sureness import bound, with_probability
from abe_tf.photo_index.why import explained


def main(
    index: IndexConfig,
    source: SourceConfig,
    search: SearchConfig,
    sure: SureConfig,
    asked: FilterConfig,
    images: list[str],
) -> None:
    """Searches, and prints what is found."""
    folder = index.require()
    if not images:
        raise InputError("A search needs a photo of what is meant. Received: no IMAGE.")
    boxes = search.boxes(len(images))
    with moment(folder) as now:
        asker = Asker(now.about, source)

        def embedded(paths: list[str], boxes: list) -> np.ndarray:
            embeddings = []
            for path, box in zip(paths, boxes, strict=True):
                try:
                    embeddings.append(asker.embed(now, content_of(path), box)[0])
                except BrokenPhotoError as error:
                    raise InputError(
                        "Each IMAGE and --unlike must be a photo that can be read. "
                        f"Received: {path!r}: {error}."
                    ) from error
            return np.array(embeddings, np.float32).reshape(-1, *now.shape)

        like = embedded(images, boxes)
        unlike = embedded(list(search.unlike), [None] * len(search.unlike))
        hits = now.search(
            like, unlike, search.top_k, asked, approximately=search.approximate
        )
        hits = _sure(now, sure, hits)
        _answer(hits, search)
        if search.html:
            # Last, as it looks at the photos again.
            queries = [
                (content_of(path), box) for path, box in zip(images, boxes, strict=True)
            ]
            small = [now.thumbnail_of_row(hit.row) for hit in hits]
            why = explained(asker, queries, hits)
            answers.write_page(hits, small, why, search.html)


def _sure(now: Moment, flags: SureConfig, hits: list[Hit]) -> list[Hit]:
    """The hits that are sure enough, with P(same kind) where something tells it."""
    if flags.precision is not None or flags.max_distance is not None:
        limit, _ = bound(now, flags, precision=50)
        hits = [hit for hit in hits if hit.distance <= limit]
    hits, known = with_probability(now, flags.kinds, hits)
    print(known, file=sys.stderr)
    return hits


def _answer(hits: list[Hit], search: SearchConfig) -> None:
    if search.copy_to:
        for text in answers.copy([hit.places[0].path for hit in hits], search.copy_to):
            print(f"Not copied: {text}", file=sys.stderr)
    if search.paths:
        sys.stdout.buffer.write(answers.as_paths(hits))
    elif search.json:
        print(answers.as_json(hits))
    elif search.csv:
        print(answers.as_csv(hits))
    elif hits:
        print(answers.as_table(hits))
    if not hits:
        text = "No photo of the index is asked about, or none is so near."
        print(text, file=sys.stderr)


if __name__ == "__main__":
    command.run(
        main,
        *(IndexConfig, SourceConfig, SearchConfig, SureConfig, FilterConfig),
        with_arguments=True,
    )
