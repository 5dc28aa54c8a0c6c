"""Labels the photos of an index that nobody has labelled, by those that somebody has.

python -m abe_tf.label --index=INDEX --output=labels.csv --unsure=unsure.csv
python -m abe_tf.train --dataset=image_folder --image_list=labels.csv ...
"""

from __future__ import annotations

import itertools

from abe_tf.config import command
from abe_tf.config.index import IndexConfig, SureConfig
from abe_tf.config.pile import LabelConfig, ListConfig
from abe_tf.errors import InputError
from abe_tf.photo_index import answers
from abe_tf.photo_index.pile import lists
from abe_tf.photo_index.pile.labels import Guess, guesses, is_certain
from abe_tf.photo_index.progress import Progress
from abe_tf.photo_index.searching import moment
from abe_tf.photo_index.sureness import of, told


def main(
    index: IndexConfig, sure: SureConfig, options: LabelConfig, to: ListConfig
) -> None:
    """Labels, and says how many photos are labelled now and how many are not."""
    folder = index.require()
    lists.check(to.output, options.unsure)
    with moment(folder) as now:
        labels = now.labels()
        if not labels:
            raise InputError(
                "Neighbours label once some photos have a kind. Received: an index "
                "without. Tick and label some in abe_tf.browse, or give "
                "abe_tf.index --labels=FILE.csv."
            )
        known = told(now, sure)
        progress = Progress(len(now.rows()) - len(now.labels_of_rows()), to.quiet)
        certain: list[Guess] = []
        unsure: list[Guess] = []
        for guess in guesses(now, options.neighbours, known):
            (certain if is_certain(guess, sure, known) else unsure).append(guess)
            progress.count(1)
            progress.tell(0)
        progress.end()
        print(
            f"{sum(labels.values()):,} photos of {len(labels):,} kinds were labelled; "
            f"{len(certain):,} more are by their neighbours, {len(unsure):,} are unsure"
            f"{of(known)}"
        )
        answers.tell_unreadable(now.unreadable())
        if to.output:
            rows = lists.write(
                to.output,
                lists.LABELS,
                itertools.chain(lists.known(now), lists.guessed(now, certain)),
            )
            print(f"{rows:,} photos: {to.output}")
        if options.unsure:
            rows = lists.write(options.unsure, lists.LABELS, lists.guessed(now, unsure))
            print(f"{rows:,} photos: {options.unsure}")


if __name__ == "__main__":
    command.run(main, IndexConfig, SureConfig, LabelConfig, ListConfig)
