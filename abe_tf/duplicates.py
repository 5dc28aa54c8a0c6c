"""Lists the copies in an index of photos, and which of each set to keep; deletes none.

python -m abe_tf.duplicates --index=INDEX
python -m abe_tf.duplicates --index=INDEX --max_distance=0 --output=copies.csv
"""

from __future__ import annotations

import collections
import sys

from abe_tf.config import command
from abe_tf.config.index import IndexConfig, SourceConfig
from abe_tf.config.pile import CopiesConfig, ListConfig
from abe_tf.errors import InputError
from abe_tf.photo_index import answers
from abe_tf.photo_index.asking import Asker
from abe_tf.photo_index.contents import BrokenPhotoError
from abe_tf.photo_index.pile import copies, lists
from abe_tf.photo_index.pile.components import Work
from abe_tf.photo_index.searching import moment

# Sets that are printed; the file has all.
_PRINTED = 20


def main(
    index: IndexConfig, source: SourceConfig, options: CopiesConfig, to: ListConfig
) -> None:
    """Finds the copies, prints the first sets and how many there are."""
    folder = index.require()
    lists.check(to.output)
    with moment(folder) as now:
        limit = options.max_distance
        if limit is None:
            try:
                limit = copies.copy_distance(now, Asker(now.about, source))
            except BrokenPhotoError as error:
                raise InputError(
                    "Near copies are told by photos of the index and their own copies. "
                    f"Received: an index of which {error}. Give --max_distance=D."
                ) from error
            print(f"near: within {limit:.4f}, as photos are of half their size")
        work = Work(folder, now.about["generation"], to.quiet)
        found = copies.Copies(now, limit, work)
        sets = list(found.sets())
        unreadable = now.unreadable()
    kinds = collections.Counter(copy.kind for one in sets for copy in one.copies)
    for one in sets[:_PRINTED]:
        print(f"keep {answers.visible(one.kept.path)}  ({one.reason})")
        for copy in one.copies:
            print(f"     {answers.visible(copy.place.path)}  {copy.kind}")
    if len(sets) > _PRINTED:
        print(f"and {len(sets) - _PRINTED:,} sets more; --output=FILE.csv lists all")
    print(
        f"{len(sets):,} sets; of the others {kinds['bytes']:,} have the bytes of the "
        f"one to keep, {kinds['pixels']:,} its pixels, {kinds['near']:,} are near"
    )
    for path in sorted(found.not_compared)[:_PRINTED]:
        print(f"Not compared by its pixels: {answers.visible(path)}", file=sys.stderr)
    if found.not_compared:
        text = f"{len(found.not_compared):,} photos are gone, changed or too large"
        print(f"{text}; abe_tf.index brings the index up to date", file=sys.stderr)
    answers.tell_unreadable(unreadable)
    if to.output:
        rows = lists.write(to.output, lists.COPIES, lists.copies(sets))
        print(f"{rows:,} photos: {to.output}")


if __name__ == "__main__":
    command.run(main, IndexConfig, SourceConfig, CopiesConfig, ListConfig)
