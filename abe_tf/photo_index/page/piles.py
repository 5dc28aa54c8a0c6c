"""What the page shows of copies, groups and labels: sets of photos with a title."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from typing import Any

from abe_tf.config.index import SureConfig
from abe_tf.config.pile import GroupsConfig, LabelConfig
from abe_tf.data.photos import readable
from abe_tf.photo_index import answers
from abe_tf.photo_index.asking import Asker
from abe_tf.photo_index.contents import BrokenPhotoError
from abe_tf.photo_index.hits import Place
from abe_tf.photo_index.page.requests import RefusedError
from abe_tf.photo_index.pile import copies, groups, labels
from abe_tf.photo_index.pile.components import Work
from abe_tf.photo_index.searching import Moment
from abe_tf.photo_index.sureness import bound, of, told

DUPLICATES, GROUPS, LABELS = VIEWS = ("duplicates", "groups", "labels")
# Sets, and photos of one, that a page shows; photos without a kind that are looked at.
_SETS, _PHOTOS, _GUESSES = 100, 60, 1_000
# Photos whose pairs are compared while a page waits.
_MOST = 20_000


@dataclasses.dataclass(frozen=True)
class Piles:
    """Looks at all of an index, for a page.

    Attributes:
      now: The index.
      folder: Its folder.
      asker: Holds its model.
      sure: How sure a pair must be.
    """

    now: Moment
    folder: str
    asker: Asker
    sure: SureConfig

    def shown(self, view: str) -> dict[str, Any]:
        """What a view shows: its `sets`, and a `note`.

        Args:
          view: One of `VIEWS`.

        Returns:
          Of each set a `title`, the `label` that it suggests, and `photos`: of each its
          number, name, `caption`, and whether it is `chosen` for what the view is for.

        Raises:
          RefusedError: The index is too large to compare its photos while one waits.
          InputError: Nothing tells how sure a distance makes, or the model cannot be
            had.
        """
        by_view = {DUPLICATES: self._copies, GROUPS: self._groups, LABELS: self._labels}
        return by_view[view]()

    def _copies(self) -> dict[str, Any]:
        try:
            limit = copies.copy_distance(self.now, self.asker)
        except BrokenPhotoError as error:
            raise RefusedError(
                409, f"copies are told by photos, and {error}"
            ) from error
        work = self._work(max(limit, copies.NOTHING), DUPLICATES)
        sets, more = _first(copies.copies(self.now, limit, work))
        shown = [
            _set(
                f"Keep one of {len(one.copies) + 1}: {one.reason}",
                [
                    _photo(one.kept, "keep"),
                    *(_photo(copy.place, copy.kind, True) for copy in one.copies),
                ],
            )
            for one in sets
        ]
        note = (
            f"{len(sets) + more:,} sets of copies; near are those within {limit:.3f}. "
            "What is ticked could go; nothing is deleted here."
        )
        return {"sets": shown, "note": note}

    def _groups(self) -> dict[str, Any]:
        limit, known = bound(self.now, self.sure)
        work = self._work(limit, GROUPS)
        found = groups.grouped(self.now, limit, GroupsConfig().max_size, work)
        shown = []
        for group in found.groups[:_SETS]:
            photos = self.now.photos(group.rows[:_PHOTOS])
            kinds = [photo.places[0].label for photo in photos]
            kind = groups.majority(kinds)
            odd = [kind is not None and one not in (None, kind) for one in kinds]
            captions = [
                one if is_odd else "" for one, is_odd in zip(kinds, odd, strict=True)
            ]
            title = f"{len(group.rows):,} photos" + (
                f", {readable(kind)}" if kind else ""
            )
            several = zip(photos, captions, odd, strict=True)
            shown.append(
                _set(
                    title,
                    [_photo(p.places[0], c or "", o) for p, c, o in several],
                    kind,
                )
            )
        note = f"{len(found.groups):,} groups, {len(found.alone):,} photos alone"
        note += f"; pairs within {limit:.3f}"
        return {"sets": shown, "note": f"{note}{of(known)}."}

    def _labels(self) -> dict[str, Any]:
        known = told(self.now, self.sure)
        least = labels.least_share(self.sure, known)
        made, more = _first(
            labels.guesses(self.now, LabelConfig().neighbours, known), _GUESSES
        )
        by_label: dict[str, list[labels.Guess]] = {}
        for guess in made:
            if guess.label is not None and guess.probability >= least:
                by_label.setdefault(guess.label, []).append(guess)
        shown = []
        for label, certain in sorted(by_label.items(), key=lambda one: -len(one[1])):
            certain.sort(key=lambda guess: -guess.probability)
            photos = self.now.photos(guess.row for guess in certain[:_PHOTOS])
            shares = [answers.percent(guess.probability) for guess in certain]
            several = zip(photos, shares, strict=False)
            title = f"{readable(label)}: {len(certain):,} photos"
            shown.append(
                _set(title, [_photo(p.places[0], c) for p, c in several], label)
            )
        unsure = len(made) - sum(map(len, by_label.values()))
        note = f"{len(made) - unsure:,} photos by their neighbours, {unsure:,} unsure"
        note += f"; {more:,} were not looked at" if more else ""
        return {"sets": shown, "note": f"{note}{of(known)}."}

    def _work(self, limit: float, view: str) -> Work:
        work = Work(self.folder, self.now.about["generation"], quiet=True)
        rows = self.now.rows()
        if len(rows) > _MOST and not work.is_done(rows, limit):
            text = (
                f"comparing {len(rows):,} photos takes minutes: run python -m "
                f"abe_tf.{view} --index={self.folder}, and the page shows what it finds"
            )
            raise RefusedError(409, text)
        return work


def _first(items: Iterable, count: int = _SETS) -> tuple[list, int]:
    """The first ones, and how many there are more."""
    iterator = iter(items)
    first = list(itertools.islice(iterator, count))
    return first, sum(1 for _ in iterator)


def _set(title: str, photos: list[dict], label: str | None = None) -> dict[str, Any]:
    return {"title": title, "label": label and readable(label), "photos": photos}


def _photo(place: Place, caption: str, chosen: bool = False) -> dict[str, Any]:
    path = readable(place.path)
    return {"photo": place.number, "path": path, "caption": caption, "chosen": chosen}
