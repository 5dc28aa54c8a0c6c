"""Makes an index of photos, or brings it up to date.

python -m abe_tf.index --index=INDEX --workdir=runs/mine PHOTOS...
python -m abe_tf.index --index=INDEX --encoder=mobilenet PHOTOS...    without training
python -m abe_tf.index --index=INDEX                                  again, from cron
"""

from __future__ import annotations

import os

from abe_tf.config import command
from abe_tf.config.index import IndexConfig, SourceConfig, UpdateConfig
from abe_tf.data.photos import LeftOut, tell_left_out
from abe_tf.photo_index import indexing


def main(
    index: IndexConfig, source: SourceConfig, update: UpdateConfig, paths: list[str]
) -> None:
    """Indexes, and says what has changed and what was left out."""
    folder = index.require(must_exist=False)
    for outcome in indexing.index(folder, source, update, paths):
        tally = outcome.tally
        broken = [
            LeftOut(os.fsdecode(path), f"cannot be read ({reason})")
            for path, reason in tally.broken
        ]
        at = outcome.root if os.path.isdir(outcome.root) else os.path.sep
        tell_left_out([*broken, *outcome.left_out], at)
        if not update.quiet:
            print(
                f"{outcome.root}: {tally.added:,} added, {tally.changed:,} changed, "
                f"{tally.moved:,} moved, {tally.gone:,} gone, "
                f"{tally.unchanged:,} as they were; {len(broken):,} cannot be read"
            )


if __name__ == "__main__":
    command.run(main, IndexConfig, SourceConfig, UpdateConfig, with_arguments=True)
