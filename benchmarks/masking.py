"""Do the places that have most in a similarity matter most to the network?

    python -m benchmarks.masking --index=INDEX

Of pairs of photos of one label of an index: a tenth of the places of the one is filled
with the mean colour of the photo, those that have most in the similarity, or random
ones; then the network looks again. Tells by how much the learners' mean cosine falls.
"""

from __future__ import annotations

import math

import numpy as np
from absl import app, flags

from abe_tf.config.data import MAX_PIXELS
from abe_tf.config.index import SourceConfig
from abe_tf.photo_index import database, reading
from abe_tf.photo_index import model as models
from abe_tf.photo_index.contents import content_of
from abe_tf.retrieval.explanation import Places, explain, places_of

_INDEX = flags.DEFINE_string("index", None, "the folder of the index", required=True)
_PAIRS = flags.DEFINE_integer("pairs", 200, "how many pairs", lower_bound=2)
_SEED = flags.DEFINE_integer("seed", 0, "of the pairs and the random places")
_SHARE = 0.1


def pairs_of(folder: str, rng: np.random.Generator) -> tuple[dict, list]:
    """What an index states of itself, and pairs of paths of one label."""
    with database.opened(folder) as connection, database.reading(connection):
        about = database.about(connection)
        rows = connection.execute(
            "SELECT label, min(path) FROM photo JOIN content ON content.id = content "
            "WHERE gone IS NULL AND row IS NOT NULL AND label IS NOT NULL "
            "GROUP BY content.id ORDER BY 2"
        ).fetchall()
    by_label: dict[str, list[bytes]] = {}
    for label, path in rows:
        by_label.setdefault(label, []).append(path)
    several = [paths for paths in by_label.values() if len(paths) > 1]
    if not several:
        raise SystemExit("the index has no label with two photos")
    chosen = rng.integers(len(several), size=_PAIRS.value)
    return about, [
        [several[label][i] for i in rng.permutation(len(several[label]))[:2]]
        for label in chosen
    ]


def over_pixels(places: np.ndarray, side: int) -> np.ndarray:
    """Places `[h, w]` as pixels `[side, side]`."""
    rows = np.arange(side) * places.shape[0] // side
    columns = np.arange(side) * places.shape[1] // side
    return places[rows][:, columns]


def without(view: np.ndarray, inside: np.ndarray, out: np.ndarray) -> np.ndarray:
    """A view whose places `[h, w]` have the photo's mean colour where `out`."""
    colour = view[over_pixels(inside, len(view))].mean(0)
    filled = over_pixels(out, len(view))[..., np.newaxis]
    return np.where(filled, colour, view).round().astype(np.uint8)


def main(_: list[str]) -> None:
    """Measures, and prints one line each."""
    rng = np.random.default_rng(_SEED.value)
    about, pairs = pairs_of(_INDEX.value, rng)
    model = models.load(SourceConfig(**about["source"]), MAX_PIXELS)
    if model.places is None:
        raise SystemExit("the export of this index has no signature parts")
    reader, places = reading.reader(model.preprocessing), model.places

    def split(path: bytes) -> Places:
        view, shown = reader.view(content_of(path))
        return places_of(view.numpy(), shown.numpy(), places)

    falls = []
    for pair in pairs:
        one, other = map(split, pair)
        why = explain(one, other)
        # The black edge beside a photo that is no square is not masked by chance.
        inside = one.outside < 0.5
        ours = np.where(inside, why.maps()[0], -np.inf)
        count = math.ceil(_SHARE * inside.sum())
        orders = (
            np.argsort(-ours, axis=None),
            rng.permutation(np.flatnonzero(inside)),
        )
        masked = []
        for order in orders:
            out = np.zeros(ours.size, bool)
            out[order[:count]] = True
            masked.append(without(one.view, inside, out.reshape(ours.shape)))
        again = model.embed(np.stack(masked))
        cosines = np.einsum("bmd,md->bm", again, other.embedding).mean(1)
        falls.append(why.cosines.mean() - cosines)
    best, random = np.array(falls).T
    print(f"{len(falls)} pairs; {count} of {ours.size} places masked")
    for name, fall in (("best tenth", best), ("random tenth", random)):
        error = fall.std(ddof=1) / math.sqrt(len(fall))
        print(f"{name:14}mean cosine falls by {fall.mean():.3f} ± {error:.3f} (s.e.)")
    share = 100 * (best > random).mean()
    print(f"the best tenth lowers it more in {share:.0f} % of them")


if __name__ == "__main__":
    app.run(main)
