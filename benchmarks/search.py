"""How fast is an exact search by ensemble distance, beside faiss and NumPy?

    pip install -r benchmarks/requirements.txt
    python -m benchmarks.search --rows=10000,100000,200000,500000

Synthetic ABE-8 embeddings, 8 learners of 64 dimensions: classes of unequal size, each
learner with centres of its own. Each library lives in a process of its own and answers
the same queries in turns, the ten nearest by ensemble distance: ours; NumPy, by eight
products of matrix and vector; faiss-cpu, by inner product of the concatenated
embedding, over float32 (flat) and over 8-bit codes, whose first hundred are ranked anew
by the ensemble distance. Printed too is how many of the tens are those of a scan in
float64. Memory is what the process holds of its own beside the interpreter.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
from absl import app, flags

from abe_tf.layout import Layout

_ROWS = flags.DEFINE_list("rows", ["10000", "100000", "200000", "500000"], "how many")
_THREADS = flags.DEFINE_list("threads", ["1", "2"], "of each library")
_QUERIES = flags.DEFINE_integer("queries", 50, "in turns")
_SERVE = flags.DEFINE_string("serve", None, "internal: a library, which answers")
_FOLDER = flags.DEFINE_string("folder", None, "internal: where the embeddings are")
LEARNERS, DIM, COUNT = 8, 64, 10
LAYOUT = Layout.equal(LEARNERS, DIM)
LIBRARIES = ("ours", "numpy", "faiss flat", "faiss sq8")
CANDIDATES = 100
# Rows that are written at once.
_PORTION = 20_000


def embeddings(rows: int) -> np.ndarray:
    """`[rows, learners, dim]` float32, unit length."""
    rng = np.random.default_rng(0)
    classes = max(10, rows // 100)
    shares = 1 / np.arange(1, classes + 1)
    kinds = rng.choice(classes, rows, p=shares / shares.sum())
    found = np.empty([rows, LEARNERS, DIM], np.float32)
    for learner in range(LEARNERS):
        centres = rng.normal(size=[classes, DIM]).astype(np.float32)
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
        noise = rng.normal(0, 0.1, [rows, DIM]).astype(np.float32)
        one = centres[kinds] + noise
        found[:, learner] = one / np.linalg.norm(one, axis=1, keepdims=True)
    return found


def write_index(folder: str, given: np.ndarray) -> None:
    """Writes an index of embeddings, `[rows, learners, dim]`, without photos."""
    from abe_tf.photo_index import database, vectors

    os.makedirs(os.path.join(folder, vectors.FOLDER))
    about = {"learners": LEARNERS, "dim": DIM, "generation": 1, "rows": 0}
    about |= {"fingerprint": "synthetic", "source": {}, "state": []}
    database.create(folder, about)
    rows = 0
    with database.opened(folder, write=True) as connection:
        for start in range(0, len(given), _PORTION):
            part = given[start : start + _PORTION]
            rows = vectors.append(folder, 1, rows, part, LAYOUT)
        with database.transaction(connection):
            connection.executemany(
                "INSERT INTO content (id, digest, row, width, height, bytes) "
                "VALUES (?, ?, ?, 400, 300, 30000)",
                ((row + 1, row.to_bytes(32, "big"), row) for row in range(rows)),
            )
            connection.executemany(
                "INSERT INTO photo (path, size, mtime_ns, content) "
                "VALUES (?, 30000, ?, ?)",
                ((b"/none/%09d.jpg" % n, n * 10**9, n + 1) for n in range(rows)),
            )
            database.tell(connection, {"rows": rows})


def memory() -> float:
    """Megabytes that are this process's own."""
    with open("/proc/self/status", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["RssAnon"].split()[0]) / 1024


def exact(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Ensemble distances in float64."""
    squares = np.square(vectors.astype(np.float64) - query)
    return np.sqrt(squares.sum(-1)).mean(-1)


def ours(folder: str, threads: int) -> Any:
    """An index as it lies on disk."""
    from abe_tf.photo_index import scan, vectors

    rows = len(np.load(os.path.join(folder, "x.npy"), mmap_mode="r"))
    segments = vectors.mapped(folder, 1, rows, LAYOUT)
    return lambda query: scan.nearest(segments, query, COUNT, workers=threads)[0]


def by_numpy(folder: str, threads: int) -> Any:
    """Eight products, and the sum of the distances."""
    del threads
    given = np.load(os.path.join(folder, "x.npy"))
    parts = [np.ascontiguousarray(given[:, learner]) for learner in range(LEARNERS)]
    del given

    def answer(query: np.ndarray) -> np.ndarray:
        total = 0.0
        for part, one in zip(parts, query, strict=True):
            total += np.sqrt(np.maximum(2 - 2 * (part @ one), 0))
        some = np.argpartition(total, COUNT)[:COUNT]
        return some[np.argsort(total[some])]

    return answer


def by_faiss(kind: str, folder: str, threads: int) -> Any:
    """Candidates by inner product, ranked anew."""
    import faiss

    faiss.omp_set_num_threads(threads)
    vectors = np.load(os.path.join(folder, "x.npy"), mmap_mode="r")
    dim = LEARNERS * DIM
    if kind == "faiss flat":
        index = faiss.IndexFlatIP(dim)
    else:
        index = faiss.IndexScalarQuantizer(
            dim, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
        index.train(vectors[:50_000].reshape(-1, dim))
    for first in range(0, len(vectors), 50_000):
        index.add(vectors[first : first + 50_000].reshape(-1, dim))

    def answer(query: np.ndarray) -> np.ndarray:
        _, found = index.search(query.reshape(1, dim), CANDIDATES)
        rows = found[0]
        distances = exact(vectors[rows], query)
        return rows[np.argsort(distances, kind="stable")[:COUNT]]

    return answer


def serve(library: str, folder: str, threads: int) -> None:
    """Answers a query a line, with the rows and milliseconds."""
    before = memory()
    if library == "ours":
        answer = ours(folder, threads)
    elif library == "numpy":
        answer = by_numpy(folder, threads)
    else:
        answer = by_faiss(library, folder, threads)
    queries = np.load(os.path.join(folder, "queries.npy"))
    answer(queries[0])
    print(json.dumps({"ready": memory() - before}), flush=True)
    for line in sys.stdin:
        query = queries[int(line)]
        begin = time.perf_counter()
        rows = answer(query)
        spent = time.perf_counter() - begin
        told = {"rows": rows.tolist(), "ms": 1e3 * spent, "mb": memory() - before}
        print(json.dumps(told), flush=True)


def opened(folder: str) -> float:
    """Seconds of a new process to open an index and answer, imports included."""
    script = (
        "import sys, numpy as np\n"
        "from benchmarks.search import ours\n"
        "query = np.load(sys.argv[1] + '/queries.npy')[1]\n"
        "print(ours(sys.argv[1], 1)(query)[0])\n"
    )
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", script, folder], check=True, stdout=-3)
    return time.perf_counter() - begin


def prepare(folder: str, rows: int) -> list[list[int]]:
    """Writes embeddings, index and queries; the true ten of each query."""
    from abe_tf.photo_index import vectors

    x = embeddings(rows)
    np.save(os.path.join(folder, "x.npy"), x)
    os.mkdir(os.path.join(folder, vectors.FOLDER))
    for first in range(0, rows, 50_000):
        vectors.append(folder, 1, first, x[first : first + 50_000], LAYOUT)
    rng = np.random.default_rng(1)
    near = x[rng.integers(0, rows, _QUERIES.value + 1)]
    near = near + rng.normal(0, 0.05, near.shape)
    queries = near / np.linalg.norm(near, axis=-1, keepdims=True)
    queries = queries.astype(np.float32)
    np.save(os.path.join(folder, "queries.npy"), queries)
    truth = []
    for query in queries:
        total = np.concatenate(
            [
                exact(x[first : first + 20_000], query)
                for first in range(0, rows, 20_000)
            ]
        )
        truth.append(np.argsort(total, kind="stable")[:COUNT].tolist())
    return truth


def measure(folder: str, rows: int, threads: int, truth: list[list[int]]) -> None:
    """Prints a line for each library."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    environment["OPENBLAS_NUM_THREADS"] = str(threads)
    processes = {
        library: subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.search", f"--serve={library}"),
                *(f"--folder={folder}", f"--threads={threads}"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for library in LIBRARIES
    }
    for process in processes.values():
        json.loads(process.stdout.readline())
    answers: dict[str, list] = {library: [] for library in LIBRARIES}
    for number in range(1, len(truth)):
        for library, process in processes.items():
            process.stdin.write(f"{number}\n")
            process.stdin.flush()
            answers[library].append(json.loads(process.stdout.readline()))
    for process in processes.values():
        process.communicate()
    medians = {
        library: statistics.median(one["ms"] for one in found)
        for library, found in answers.items()
    }
    best = min(medians["faiss flat"], medians["faiss sq8"])
    for library, found in answers.items():
        pairs = zip(found, truth[1:], strict=True)
        equal = statistics.mean(one["rows"] == expected for one, expected in pairs)
        print(
            f"{rows:8,} rows, {threads} thread(s)  {library:10}  "
            f"{medians[library]:7.2f} ms  {medians[library] / best:5.2f} of the faster "
            f"faiss  {max(one['mb'] for one in found):7.0f} MB  "
            f"{100 * equal:5.1f} % of the tens are those of float64",
            flush=True,
        )


def main(_: list[str]) -> None:
    """Prints a table."""
    if _SERVE.value:
        serve(_SERVE.value, _FOLDER.value, int(_THREADS.value[0]))
        return
    for rows in map(int, _ROWS.value):
        with tempfile.TemporaryDirectory() as folder:
            truth = prepare(folder, rows)
            for threads in map(int, _THREADS.value):
                measure(folder, rows, threads, truth)
            print(f"{rows:8,} rows  opened and asked in {opened(folder):.2f} s")


if __name__ == "__main__":
    app.run(main)
