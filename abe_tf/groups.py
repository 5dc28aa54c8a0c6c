"""Groups the photos of an index: which hang together, and which are odd.

python -m abe_tf.groups --index=INDEX --precision=95 --output=groups.csv
python -m abe_tf.groups --index=INDEX --max_distance=0.5
"""

from __future__ import annotations

from abe_tf.config import command
from abe_tf.config.index import IndexConfig, SureConfig
from abe_tf.config.pile import GroupsConfig, ListConfig
from abe_tf.data.photos import readable
from abe_tf.photo_index import answers
from abe_tf.photo_index.pile import lists
from abe_tf.photo_index.pile.components import Work
from abe_tf.photo_index.pile.groups import grouped, majority
from abe_tf.photo_index.searching import moment
from abe_tf.photo_index.sureness import Sureness, bound, of

# Groups that are printed; the file has all.
_PRINTED = 20


def main(
    index: IndexConfig, sure: SureConfig, options: GroupsConfig, to: ListConfig
) -> None:
    """Groups, prints the largest and how many there are."""
    folder = index.require()
    lists.check(to.output)
    with moment(folder) as now:
        limit, known = bound(now, sure)
        work = Work(folder, now.about["generation"], to.quiet)
        found = grouped(now, limit, options.max_size, work)
        for group in found.groups[:_PRINTED]:
            photos = now.photos(group.rows)
            labels = [photo.places[0].label for photo in photos]
            kind = majority(labels)
            odd = sum(label not in (None, kind) for label in labels) if kind else 0
            print(
                f"{len(photos):6,} photos  {readable(kind or '')}  around "
                f"{answers.visible(photos[0].places[0].path)}"
                + (f"  {odd:,} of another kind" if odd else "")
            )
        if len(found.groups) > _PRINTED:
            more = len(found.groups) - _PRINTED
            print(f"and {more:,} groups more; --output=FILE.csv lists all")
        photos_in = sum(len(group.rows) for group in found.groups)
        print(
            f"{len(found.groups):,} groups of {photos_in:,} photos, "
            f"{len(found.alone):,} alone; pairs within {limit:.4f}"
            f"{of(known)}"
        )
        if found.split:
            print(
                f"{found.split:,} times a group above --max_size fell apart; "
                f"{len(found.apart):,} photos are in none of what it fell into"
            )
        answers.tell_unreadable(now.unreadable())
        if to.output:
            told = known if isinstance(known, Sureness) else None
            rows = lists.write(to.output, lists.GROUPS, lists.groups(now, found, told))
            print(f"{rows:,} photos: {to.output}")


if __name__ == "__main__":
    command.run(main, IndexConfig, SureConfig, GroupsConfig, ListConfig)
