"""What the page shows of copies, groups and labels: sets of photos with a title."""

from __future__ import annotations

import dataclasses
import itertools
import os
from typing import Any

from abe_tf.config.index import SureConfig
from abe_tf.config.pile import GroupsConfig, LabelConfig
from abe_tf.data.photos import readable
from abe_tf.photo_index import answers
from abe_tf.photo_index.asking import Asker
from abe_tf.photo_index.contents import BrokenPhotoError
from abe_tf.photo_index.hits import Hit, Place
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
# What the page calls flags.
_FIELDS = {
    "--kinds=": "Kinds there are ",
    "--precision": "Same kind at least",
    "--max_distance=D": "Distance at most",
}


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
          RefusedError: The index is too large to compare its photos while one waits, or
            no photo has a label.
          InputError: Nothing tells how sure a distance makes, or the model cannot be
            had.
        """
        by_view = {DUPLICATES: self._copies, GROUPS: self._groups, LABELS: self._labels}
        return by_view[view]()

    def _copies(self) -> dict[str, Any]:
        limit = self.sure.max_distance
        if limit is None:
            try:
                limit = copies.copy_distance(self.now, self.asker)
            except BrokenPhotoError as error:
                text = f"copies are told by photos, and {error}"
                raise RefusedError(409, text) from error
        work = self._work(DUPLICATES, copies.reach(limit), limit)
        sets = copies.Copies(self.now, limit, work).sets()
        first = list(itertools.islice(sets, _SETS))
        more = "more than " if next(sets, None) is not None else ""
        shown = []
        for one in first:
            others = one.copies[: _PHOTOS - 1]
            photos = [_photo(one.kept, "keep")]
            photos += [_photo(copy.place, copy.kind, True) for copy in others]
            size = len(one.copies) + 1
            shown.append(_set(f"Keep one of {size}: {one.reason}", photos, size))
        note = (
            f"{more}{len(first):,} sets of copies; near are those within {limit:.4f}. "
            "What is ticked could go; nothing is deleted here."
        )
        return {"sets": shown, "note": note}

    def _groups(self) -> dict[str, Any]:
        limit, known = bound(self.now, self.sure)
        work = self._work(GROUPS, limit, limit)
        found = groups.grouped(self.now, limit, GroupsConfig().max_size, work)
        shown = []
        for group in found.groups[:_SETS]:
            photos = self.now.photos(group.rows)
            kind = groups.majority([photo.places[0].label for photo in photos])
            title = f"{len(photos):,} photos" + (f", {readable(kind)}" if kind else "")
            several = [_member(photo, kind) for photo in photos[:_PHOTOS]]
            shown.append(_set(title, several, len(photos), kind))
        note = f"{len(found.groups):,} groups, {len(found.alone):,} photos alone"
        note += f"; the first {_SETS} are shown" if len(found.groups) > _SETS else ""
        return {"sets": shown, "note": f"{note}; pairs within {limit:.4f}{of(known)}."}

    def _labels(self) -> dict[str, Any]:
        known, said = told(self.now, self.sure), self.now.labels_of_rows()
        if not said:
            text = "no photo has a kind yet; tick some, and label them"
            raise RefusedError(409, text)
        guesses = labels.guesses(self.now, LabelConfig().neighbours, known)
        made = list(itertools.islice(guesses, _GUESSES))
        by_label: dict[str, list[labels.Guess]] = {}
        for guess in made:
            if labels.is_certain(guess, self.sure, known):
                by_label.setdefault(str(guess.label), []).append(guess)
        shown = []
        for label, certain in sorted(by_label.items(), key=lambda one: -len(one[1])):
            certain.sort(key=lambda guess: -guess.share)
            photos = self.now.photos(guess.row for guess in certain[:_PHOTOS])
            theirs = [
                _photo(photo.places[0], answers.percent(guess.share))
                for photo, guess in zip(photos, certain, strict=False)
            ]
            title = f"{readable(label)}: {len(certain):,} photos"
            shown.append(_set(title, theirs, len(certain), label))
        unsure = len(made) - sum(map(len, by_label.values()))
        more = len(self.now.rows()) - len(said) - len(made)
        note = f"{len(made) - unsure:,} photos by their neighbours, {unsure:,} unsure"
        note += f"; {more:,} were not looked at" if more else ""
        return {"sets": shown, "note": f"{note}{of(known)}."}

    def _work(self, view: str, reach: float, limit: float) -> Work:
        work = Work(self.folder, self.now.about["generation"], quiet=True)
        rows = self.now.rows()
        if len(rows) > _MOST and not work.is_done(rows, reach):
            command = f"abe_tf.{view} --index={self.folder} --max_distance={limit:.4f}"
            text = f"comparing {len(rows):,} photos takes minutes: run python -m "
            kept = os.access(self.folder, os.W_OK)
            text += command + (", and the page shows what it finds" if kept else "")
            raise RefusedError(409, text)
        return work


def by_fields(text: str) -> str:
    """What a command says, with the names that the page has for its flags."""
    for flag, field in _FIELDS.items():
        text = text.replace(flag, field)
    return text


def _member(photo: Hit, kind: str | None) -> dict[str, Any]:
    """A photo of a group: chosen unless it is of another kind than most."""
    first = photo.places[0]
    is_odd = kind is not None and first.label not in (None, kind)
    return _photo(first, readable(first.label or "") if is_odd else "", not is_odd)


def _set(
    title: str, photos: list[dict], size: int, label: str | None = None
) -> dict[str, Any]:
    if len(photos) < size:
        title += f"; {len(photos)} are shown"
    return {"title": title, "label": label and readable(label), "photos": photos}


def _photo(place: Place, caption: str, chosen: bool = False) -> dict[str, Any]:
    path = readable(place.path)
    return {"photo": place.number, "path": path, "caption": caption, "chosen": chosen}
