"""The test photos of a run whose classes all train, so that none of them trains later.

Which photos test is a matter of how many there are; a folder that gains or loses one
between two sessions would hold out others, which have trained.
"""

from __future__ import annotations

import dataclasses
import os
import sys

import numpy as np

from abe_tf.data import splitting
from abe_tf.data.examples import Examples, Splits
from abe_tf.storage.files import read_text, write_atomically

# Stands in the list as no path can; then each is looked for among those that train.
_AMONG_TRAINED = "//among those that train"


class HeldOut:
    """A list in the run folder, of paths below the folder of the photos.

    Args:
      workdir: The run folder.
      data_dir: Where the photos are now.
    """

    def __init__(self, workdir: str, data_dir: str | None) -> None:
        self._path, self._root = os.path.join(workdir, "held_out.txt"), data_dir or "."

    def record(self, splits: Splits) -> None:
        """Writes the list, where photos of known classes test."""
        if splits.known_classes:
            names = self._names(splits.test)
            if splits.gallery is not None:
                names.append(_AMONG_TRAINED)
            write_atomically(self._path, "".join(f"{name}\0" for name in names))

    def keep(self, splits: Splits) -> Splits:
        """The splits without photos that would now train or test, and did not before.

        How many those are is said on standard error.
        """
        if not splits.known_classes or not os.path.isfile(self._path):
            return splits
        held_out = set(read_text(self._path).split("\0"))
        tested = np.array([name in held_out for name in self._names(splits.test)], bool)
        trained = np.array(
            [name not in held_out for name in self._names(splits.train)], bool
        )
        out = np.count_nonzero(~tested) + np.count_nonzero(~trained)
        if out:
            print(
                f"Left out, since the run's photos have changed: {out:,} that were "
                "held out from training and would train now, or the other way round.",
                file=sys.stderr,
            )
        train, test = splits.train.where(trained), splits.test.where(tested)
        # As the run was made, however many photos there are now.
        gallery = train if _AMONG_TRAINED in held_out else None
        if gallery is None:
            test = splitting.without_lone(test, "test")
        else:
            test = splitting.with_partner(test, gallery)
        return dataclasses.replace(splits, train=train, test=test, gallery=gallery)

    def _names(self, examples: Examples) -> list[str]:
        return [os.path.relpath(str(name), self._root) for name in examples.names]
