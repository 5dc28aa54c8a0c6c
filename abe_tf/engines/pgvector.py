"""PostgreSQL with pgvector: a table, and a function that answers by ensemble distance.

SCHEMA.photo     id, digest, path, paths, label, state, embedding (the learners side by
                 side, a vector)
SCHEMA.about     what made the embeddings: learners, dim, dims and lengths where
                 learners differ, weights, fingerprint
SCHEMA.nearest(query vector, k integer, candidates integer)
                 id, path, label and distance of the k nearest
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from abe_tf.engines.target import missing_package, persistently
from abe_tf.errors import InputError
from abe_tf.photo_index.handing import Handed, Model

T = TypeVar("T")
# Of an address, what may be said.
_TOLD = ("host", "port", "dbname")
# Dimensions of half precision that pgvector's graph takes.
_GRAPH_DIMENSIONS = 4000
_COLUMNS = "id, digest, path, paths, label, state, embedding"
_TYPES = ("int8", "bytea", "text", "text[]", "text", "text", "vector")


class Postgres:
    """A schema of a PostgreSQL database.

    Args:
      url: As PostgreSQL's own clients take it, such as postgresql://HOST/DATABASE.
      schema: Name of the schema; made where there is none.
      model: What made the embeddings.

    Raises:
      InputError: It cannot be connected to, lacks pgvector, or holds another index.
    """

    def __init__(self, url: str, schema: str, model: Model) -> None:
        try:
            import pgvector
            import pgvector.psycopg
            import psycopg
        except ImportError as error:
            raise missing_package(error) from error
        self._psycopg, self._pgvector = psycopg, pgvector
        self._url, self._schema, self._model = url, schema, model
        self._name = psycopg.sql.Identifier(schema).as_string(None)
        try:
            info = psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.Error:
            # Neither the address nor what is wrong with it: a password may be in both.
            raise InputError(
                "--at must be a database as postgresql://USER@HOST:PORT/DATABASE, with "
                "% in it as %25. Received: an address of another form."
            ) from None
        told = (f"{key}={info[key]}" for key in _TOLD if key in info)
        self._where = " ".join(told) or "the default database"
        try:
            self._connect()
            self._make()
        except psycopg.Error as error:
            raise self._refused(error) from error

    def states(self) -> Mapping[int, str]:
        """As of `Target`."""
        query = f"SELECT id, state FROM {self._name}.photo"
        return self._again(lambda: dict(self._connection.execute(query).fetchall()))

    def put(self, some: Sequence[Handed], embeddings: np.ndarray) -> None:
        """As of `Target`: in one transaction, which may be done twice."""
        flat = self._model.layout.joined(embeddings)
        self._again(lambda: self._put(some, flat))

    def remove(self, some: Sequence[int]) -> None:
        """As of `Target`."""
        query = f"DELETE FROM {self._name}.photo WHERE id = ANY(%s)"
        self._again(lambda: self._connection.execute(query, [list(some)]))

    def finish(self) -> str:
        """Builds the graph where it is missing, and has the planner know the table."""
        dimensions = self._model.layout.size
        if dimensions <= _GRAPH_DIMENSIONS:
            graph = (
                f"CREATE INDEX IF NOT EXISTS photo_by_embedding ON {self._name}.photo "
                f"USING hnsw ((embedding::halfvec({dimensions})) halfvec_ip_ops)"
            )
            self._again(lambda: self._connection.execute(graph))
        self._again(lambda: self._connection.execute(f"ANALYZE {self._name}.photo"))
        return (
            f"SELECT * FROM {self._name}.nearest(QUERY, 10, 100): QUERY is the "
            "learners' embeddings side by side, as 'embedding' of an export answers. "
            "Of the 100 nearest by inner product of the whole, in half precision, the "
            "10 nearest by ensemble distance, the weighted mean of the learners' "
            "Euclidean distances."
        )

    def _connect(self) -> None:
        self._connection = self._psycopg.connect(self._url, autocommit=True)
        self._connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        self._pgvector.psycopg.register_vector(self._connection)

    def _make(self) -> None:
        """Makes what is missing of the schema, at once.

        Raises:
          InputError: It holds another index.
        """
        model, name = self._model, self._name
        with self._connection.transaction():
            # Two who begin at the same time would both make it.
            lock = "SELECT pg_advisory_xact_lock(hashtext('abe_tf'))"
            self._connection.execute(lock)
            self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {name}")
            self._connection.execute(
                f"CREATE TABLE IF NOT EXISTS {name}.about (value jsonb NOT NULL)"
            )
            held = self._connection.execute(f"SELECT value FROM {name}.about")
            row = held.fetchone()
            model.check(row[0] if row else None, f"schema {self._schema!r}")
            there = f"SELECT to_regclass('{name}.photo')"
            if not row and self._connection.execute(there).fetchone() != (None,):
                raise InputError(
                    "--name must be a schema of abe_tf.hand_over, or a new one. "
                    f"Received: {self._schema!r}, with a table photo of another kind."
                )
            if not row:
                self._connection.execute(
                    f"INSERT INTO {name}.about VALUES (%s)",
                    [json.dumps(model.values())],
                )
            self._connection.execute(
                f"CREATE TABLE IF NOT EXISTS {name}.photo ("
                "id bigint PRIMARY KEY, digest bytea NOT NULL, path text NOT NULL, "
                "paths text[] NOT NULL, label text, state text NOT NULL, "
                f"embedding vector({model.layout.size}) NOT NULL)"
            )
            self._connection.execute(function(name, model))

    def _put(self, some: Sequence[Handed], flat: np.ndarray) -> None:
        columns = _COLUMNS.split(", ")
        news = ", ".join(f"{one} = excluded.{one}" for one in columns[1:])
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(
                f"CREATE TEMPORARY TABLE news (LIKE {self._name}.photo) ON COMMIT DROP"
            )
            with cursor.copy(
                f"COPY news ({_COLUMNS}) FROM STDIN WITH (FORMAT BINARY)"
            ) as copy:
                copy.set_types(_TYPES)
                for one, embedding in zip(some, flat, strict=True):
                    # No text of PostgreSQL holds a zero byte.
                    label = one.label and one.label.replace("\0", "\\0")
                    paths = one.paths
                    copy.write_row(
                        (one.id, one.digest, paths[0], paths, label, one.state)
                        + (self._pgvector.Vector(embedding),)
                    )
            cursor.execute(
                f"INSERT INTO {self._name}.photo ({_COLUMNS}) SELECT {_COLUMNS} "
                f"FROM news ON CONFLICT (id) DO UPDATE SET {news}"
            )

    def _again(self, work: Callable[[], T]) -> T:
        try:
            return persistently(
                work,
                (self._psycopg.OperationalError,),
                self._connect,
                self._where,
            )
        except self._psycopg.Error as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> InputError:
        text = " ".join(str(error).split())
        return InputError(
            "--at must be a PostgreSQL with pgvector 0.8 or later, where a schema may "
            f"be made. Received: {self._where}: {text}."
        )


def function(schema: str, model: Model) -> str:
    """The definition of `nearest`.

    Args:
      schema: Name of the schema, quoted.
      model: What made the embeddings.
    """
    dims, whole = model.layout.dims, model.layout.size
    starts = np.cumsum([1, *dims[:-1]])
    terms = " + ".join(
        f"{weight!r} * (subvector(c.embedding, {first}, {dim}) <-> "
        f"subvector(nearest.query, {first}, {dim}))"
        for weight, first, dim in zip(model.weights, starts, dims, strict=True)
    )
    kind = f"halfvec({whole})" if whole <= _GRAPH_DIMENSIONS else "vector"
    return f"""
CREATE OR REPLACE FUNCTION {schema}.nearest(
  query vector, k integer DEFAULT 10, candidates integer DEFAULT 100)
RETURNS TABLE (id bigint, path text, label text, distance float8)
LANGUAGE plpgsql
SET hnsw.ef_search = 100
SET hnsw.iterative_scan = strict_order
AS $$
BEGIN
  -- The graph gives as many as it looks at, and goes on where these do not do.
  PERFORM set_config(
    'hnsw.ef_search', least(greatest(nearest.candidates, 10), 1000)::text, true);
  RETURN QUERY
    SELECT c.id, c.path, c.label, ({terms})::float8 AS far
    FROM (
      SELECT p.id, p.path, p.label, p.embedding
      FROM {schema}.photo p
      ORDER BY p.embedding::{kind} <#> nearest.query::{kind}
      LIMIT nearest.candidates
    ) c
    ORDER BY far, c.id
    LIMIT nearest.k;
END
$$"""
