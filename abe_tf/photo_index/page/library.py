"""What the page is answered: an index as it is at the moment of each request."""

from __future__ import annotations

import base64
import contextlib
import csv
import io
import os
import time
from typing import Any

import numpy as np

from abe_tf.config.index import FilterConfig, SourceConfig, SureConfig
from abe_tf.data.photos import readable
from abe_tf.errors import InputError
from abe_tf.figures import heat
from abe_tf.photo_index import answers, database, searching
from abe_tf.photo_index.asking import Asker
from abe_tf.photo_index.contents import BrokenPhotoError, content_of
from abe_tf.photo_index.hits import LABEL, LABELLED, Hit
from abe_tf.photo_index.page import piles
from abe_tf.photo_index.page.requests import Example, Question, RefusedError
from abe_tf.photo_index.page.uploads import Uploads
from abe_tf.photo_index.searching import Moment
from abe_tf.photo_index.sureness import with_probability
from abe_tf.retrieval.explanation import explain

# An index that has said nothing for so many seconds is not being made any more.
_SILENT = 120
_MOST_NAMED = 200
# Longer side of a photo that is shown large, in pixels.
_LARGE = 1600


class Library:
    """An index, for one page after another; several threads may ask.

    Args:
      folder: Folder of the index.
      source: The model, where it lies elsewhere by now.
      uploads: Photos that were uploaded.
    """

    def __init__(self, folder: str, source: SourceConfig, uploads: Uploads) -> None:
        self._folder, self._source, self._uploads = folder, source, uploads
        self._askers: dict[str, Asker] = {}

    def warm(self) -> None:
        """Loads what the first questions would wait for: compiled loops, the model.

        What is wrong with the model is said when a question needs it.
        """
        with searching.moment(self._folder) as now, contextlib.suppress(InputError):
            learners, dim = now.shape
            nothing = np.full([1, learners, dim], dim**-0.5, np.float32)
            now.search(nothing, nothing[:0], 1, FilterConfig())
            self._asker(now).warm()

    def state(self) -> dict[str, Any]:
        """How many photos there are, of which kinds and folders, what is going on."""
        with database.opened(self._folder) as connection, database.reading(connection):
            about = database.about(connection)
            (photos,) = connection.execute(
                "SELECT count(*) FROM photo WHERE gone IS NULL"
            ).fetchone()
            broken = connection.execute(
                "SELECT path, COALESCE(photo.reason, content.reason) FROM photo "
                "LEFT JOIN content ON content.id = photo.content WHERE gone IS NULL "
                "AND COALESCE(photo.reason, content.reason) IS NOT NULL ORDER BY path"
            ).fetchall()
            labels = connection.execute(
                f"SELECT {LABEL}, count(*) FROM {LABELLED} "
                "GROUP BY 1 ORDER BY 2 DESC, 1"
            ).fetchall()
            roots = connection.execute("SELECT path FROM root ORDER BY path").fetchall()
        progress = about.get("progress")
        if progress and time.time() - progress["time"] > _SILENT:
            progress = None
        return {
            "photos": photos,
            "broken_count": len(broken),
            "broken": [
                {"path": readable(os.fsdecode(path)), "reason": reason}
                for path, reason in broken[:_MOST_NAMED]
            ],
            "labels": [{"label": label, "count": count} for label, count in labels],
            "folders": [readable(os.fsdecode(path)) for (path,) in roots],
            "progress": progress,
        }

    def search(self, question: Question) -> dict[str, Any]:
        """The hits of a question; the newest photos where nothing is meant.

        Raises:
          RefusedError: A photo of the question is not there.
          BrokenPhotoError: One cannot be read.
        """
        with searching.moment(self._folder) as now:
            if not question.like:
                hits, sure = now.newest(question.count, question.asked), ""
            else:
                like, rows = self._embedded(now, question.like)
                unlike, others = self._embedded(now, question.unlike)
                hits = now.search(
                    like=like,
                    unlike=unlike,
                    count=question.count,
                    asked=question.asked,
                    without=[*rows, *others],
                )
                hits, sure = with_probability(now, question.kinds, hits)
                sure = piles.by_fields(sure)
            shown = [_shown(rank, hit) for rank, hit in enumerate(hits, 1)]
            return {"hits": shown, "sure": sure}

    def pile(self, view: str, sure: SureConfig) -> dict[str, Any]:
        """Copies, groups or labels, as `Piles.shown`.

        Raises:
          RefusedError: There is no such view, the index is too large for it, nothing
            tells how sure a distance makes, or the model cannot be had.
        """
        if view not in piles.VIEWS:
            raise RefusedError(404, f"a view must be one of {', '.join(piles.VIEWS)}")
        with searching.moment(self._folder) as now:
            looked_at = piles.Piles(now, self._folder, self._asker(now), sure)
            try:
                shown = looked_at.shown(view)
            except InputError as error:
                raise RefusedError(409, piles.by_fields(str(error))) from error
            unreadable = now.unreadable()
        if unreadable:
            shown["note"] += f" {unreadable:,} photos cannot be read, and are in none."
        return shown

    def why(self, example: Example, number: int) -> dict[str, Any]:
        """Why a photo of the index matches one that is searched for.

        Args:
          example: What is searched for.
          number: Number of the photo.

        Returns:
          `cosines` of the learners, their `shares` in that of all, and the numbers of
          those that are `not_split`; of both `sides` the `view`, a PNG file in base 64,
          `maps` `[learners, h, w]`, and what `bias` and `padding` have of each cosine.

        Raises:
          RefusedError: There is no such photo, or nothing tells why.
          BrokenPhotoError: One cannot be read.
        """
        with searching.moment(self._folder) as now:
            asker = self._asker(now)
            meant, found = self._content(now, example), self._file(now, number)
        one = asker.places(meant, example.box)
        explanation = explain(one, asker.places(found))
        return {
            "cosines": explanation.cosines.tolist(),
            "shares": explanation.shares.tolist(),
            "not_split": one.not_split,
            "sides": [
                {
                    "view": base64.b64encode(heat.png(side.view)).decode(),
                    "maps": side.maps.tolist(),
                    "bias": side.bias.tolist(),
                    "padding": side.padding.tolist(),
                }
                for side in explanation.sides
            ],
        }

    def _embedded(
        self, now: Moment, examples: list[Example]
    ) -> tuple[np.ndarray, list[int]]:
        """`[examples, learners, dim]`, and the rows of those that the index holds."""
        embeddings, rows = [], []
        for example in examples:
            embedding, row = self._one(now, example)
            embeddings.append(embedding)
            rows += [] if row is None else [row]
        return np.array(embeddings, np.float32).reshape(-1, *now.shape), rows

    def _one(self, now: Moment, example: Example) -> tuple[np.ndarray, int | None]:
        if example.number is not None and example.box is None:
            row = now.row_of_photo(example.number)
            if row is not None:
                return now.embedding(row), row
        content = self._content(now, example)
        return self._asker(now).embed(now, content, example.box)

    def _content(self, now: Moment, example: Example) -> bytes:
        if example.token is not None:
            content = self._uploads.get(example.token)
            if content is None:
                raise RefusedError(404, "the uploaded photo is gone; upload it again")
            return content
        return self._file(now, example.number or 0)

    def _file(self, now: Moment, number: int) -> bytes:
        place = now.place(number)
        if place is None:
            raise RefusedError(404, "the index holds no such photo")
        try:
            return content_of(place.path)
        except BrokenPhotoError as error:
            raise RefusedError(404, f"the photo {error}") from error

    def _asker(self, now: Moment) -> Asker:
        # Another one where all was embedded anew with another model.
        fingerprint = now.about["fingerprint"]
        if fingerprint not in self._askers:
            self._askers = {fingerprint: Asker(now.about, self._source)}
        return self._askers[fingerprint]

    def upload(self, content: bytes) -> dict[str, Any]:
        """Keeps a photo that was uploaded, if it can be read.

        Raises:
          BrokenPhotoError: It cannot.
        """
        with searching.moment(self._folder) as now:
            width, height = self._asker(now).reader.size(content)
        return {"token": self._uploads.add(content), "width": width, "height": height}

    def thumbnail(self, number: int) -> bytes:
        """A JPEG file; made anew where it is missing.

        Raises:
          RefusedError: There is no such photo.
        """
        with searching.moment(self._folder) as now:
            stored = now.thumbnail_of_photo(number)
            if stored is not None:
                return stored
            # It is no part of what the index promises to keep.
            return self._asker(now).reader.thumbnail(self._file(now, number))

    def large(self, example: Example) -> bytes:
        """A JPEG file of a photo, large enough to look at.

        Raises:
          RefusedError: There is no such photo.
          BrokenPhotoError: It cannot be read.
        """
        with searching.moment(self._folder) as now:
            content = self._content(now, example)
            return self._asker(now).reader.thumbnail(content, _LARGE)

    def size(self, example: Example) -> dict[str, int]:
        """Width and height of a photo in upright pixels.

        Raises:
          RefusedError: There is no such photo.
          BrokenPhotoError: It cannot be read.
        """
        with searching.moment(self._folder) as now:
            if example.number is not None:
                stated = now.size_of_photo(example.number)
                if stated is not None:
                    return {"width": stated[0], "height": stated[1]}
            content = self._content(now, example)
            width, height = self._asker(now).reader.size(content)
            return {"width": width, "height": height}

    def label(self, numbers: list[int], label: str | None) -> dict[str, Any]:
        """Says what photos show; `None` takes back what was said.

        Raises:
          InputError: The index cannot be written.
        """
        with (
            database.opened(self._folder, write=True) as connection,
            database.transaction(connection),
        ):
            changed = sum(
                connection.execute(
                    "UPDATE content SET user_label = ? WHERE id = "
                    "(SELECT content FROM photo WHERE id = ?)",
                    (label, number),
                ).rowcount
                for number in numbers
            )
        return {"labelled": changed}

    def copy(self, numbers: list[int], folder: str) -> dict[str, Any]:
        """Copies photos into a folder of this machine, as `answers.copy` does.

        Raises:
          RefusedError: The folder is not told from the root.
          InputError: It cannot be written, or holds such files.
        """
        folder = os.path.expanduser(folder)
        if not os.path.isabs(folder):
            text = f"the folder must be told from the root, as /{folder or 'folder'}"
            raise RefusedError(400, text)
        with searching.moment(self._folder) as now:
            places = [now.place(number) for number in numbers]
        paths = [place.path for place in places if place is not None]
        failed = answers.copy(paths, folder)
        failed += ["a photo that has gone"] * places.count(None)
        return {"copied": len(numbers) - len(failed), "failed": failed}

    def listed(self, numbers: list[int]) -> str:
        """Photos as a CSV file that `--image_list` and `--labels` read."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "label"])
        with searching.moment(self._folder) as now:
            for number in numbers:
                place = now.place(number)
                if place is not None:
                    writer.writerow([readable(place.path), place.label or ""])
        return file.getvalue()


def _shown(rank: int, hit: Hit) -> dict[str, Any]:
    shown = answers.as_dict(rank, hit)
    sure = answers.percent(hit.probability)
    return {**shown, "photo": hit.places[0].number, "sure": sure}
