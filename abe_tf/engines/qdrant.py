"""Qdrant: what is written there, and a collection of a server.

Each content is a point of its number in the index, with the vectors `all` (the
learners side by side, inner product, with a graph) and `l0`, `l1`, ... (a learner each,
Euclidean distance, without). The point 0 has no vector, and says what made them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from abe_tf.engines.target import missing_package, persistently
from abe_tf.errors import InputError
from abe_tf.layout import Layout
from abe_tf.photo_index.handing import Handed, Model

T = TypeVar("T")
# Number, vectors by name, payload.
Point = tuple[int, Any, dict[str, Any]]
# Number of the point that says what made the embeddings.
ABOUT = 0
# Numbers that are sent at once.
_NUMBERS = 500_000
# Points that are read at once.
PAGE = 10_000
WHOLE = "all"


def learner(number: int) -> str:
    """Name of a learner's vector."""
    return f"l{number}"


def question(
    model: Model, query: np.ndarray, k: int, candidates: int
) -> dict[str, Any]:
    """What a server is asked, as JSON: POST /collections/NAME/points/query.

    Of the candidates by inner product of the whole, the k nearest by ensemble distance.
    A score is the distance below zero.

    Args:
      model: What made the embeddings.
      query: float32 `[learners, dim]`.
      k: Hits.
      candidates: Number of contents, the first by inner product, that are ranked.
    """
    layout = model.layout
    row = layout.joined(query).tolist()
    whole = {"query": row, "using": WHOLE, "limit": candidates}
    return {
        "prefetch": [
            {
                "prefetch": [whole],
                "query": query[number, : layout.dims[number]].tolist(),
                "using": learner(number),
                "limit": candidates,
            }
            for number in range(layout.learners)
        ],
        "query": {
            "formula": {
                "sum": [
                    {"mult": [-weight, f"$score[{number}]"]}
                    for number, weight in enumerate(model.weights)
                ]
            }
        },
        "limit": k,
        "with_payload": True,
    }


class Points:
    """A `Target` of points, less what differs with where they lie.

    Args:
      model: What made the embeddings.
      where: Where they lie, for messages.
    """

    def __init__(self, model: Model, where: str) -> None:
        self._model, self._where = model, where

    def states(self) -> Mapping[int, str]:
        """As of `Target`."""
        states: dict[int, str] = {}
        for number, payload in self._payloads():
            if number != ABOUT:
                states[number] = payload.get("state", "")
        return states

    def put(self, some: Sequence[Handed], embeddings: np.ndarray) -> None:
        """As of `Target`: a point that is there is replaced."""
        self._put(
            [
                (one.id, vectors(embedding, self._model.layout), _payload(one))
                for one, embedding in zip(some, embeddings, strict=True)
            ]
        )

    def _payloads(self) -> Iterator[tuple[int, dict[str, Any]]]:
        offset = None
        while True:
            points, offset = self._page(offset)
            yield from ((point.id, point.payload or {}) for point in points)
            if offset is None:
                return

    def _page(self, offset: Any) -> tuple[Sequence[Any], Any]:
        """Some points with their states, and where the next ones begin."""
        raise NotImplementedError

    def _put(self, points: Sequence[Point]) -> None:
        raise NotImplementedError

    def _begin(self, held: dict[str, Any] | None, is_empty: bool) -> None:
        """Compares with what is there, or says what will be.

        Raises:
          InputError: It is another index, or something else.
        """
        if held is None and not is_empty:
            raise InputError(
                "--name must be a collection of abe_tf.hand_over, or a new one. "
                f"Received: {self._where}, with points of another kind."
            )
        self._model.check(held, self._where)
        if held is None:
            self._put([(ABOUT, {}, self._model.values())])

    def _told(self, how: str) -> str:
        return (
            f"{how} orders by ensemble distance, the weighted mean of the learners' "
            "Euclidean distances, among the candidates by inner product of the whole; "
            "docs/scale.md has the question. A plain query of the vector `all` orders "
            "by inner product, which is not the same."
        )


class Server(Points):
    """A collection of a server.

    Args:
      url: Such as http://localhost:6333, with the key in the variable QDRANT_API_KEY;
        or ":memory:".
      name: Name of the collection; made where there is none.
      model: What made the embeddings.

    Raises:
      InputError: It does not answer, or holds something else.
    """

    def __init__(self, url: str, name: str, model: Model) -> None:
        # Without a password that stands in it.
        told = re.sub(r"//[^/]*@", "//", url)
        super().__init__(model, f"collection {name!r} of {told}")
        try:
            import qdrant_client
            from qdrant_client.http import exceptions
        except ImportError as error:
            raise missing_package(error) from error
        self._kinds, self._name = qdrant_client.models, name
        self._lost = (exceptions.ResponseHandlingException, OSError)
        self._refused = exceptions.UnexpectedResponse
        if url.startswith(("http://", "https://")):
            key = os.environ.get("QDRANT_API_KEY")
            self._client = qdrant_client.QdrantClient(
                url=url, api_key=key, timeout=60, check_compatibility=False
            )
        else:
            # The client's own stand-in, for a trial of what is sent.
            self._client = qdrant_client.QdrantClient(url)
        self._open()

    def remove(self, some: Sequence[int]) -> None:
        """As of `Target`."""
        self._again(
            lambda: self._client.delete(
                self._name, self._kinds.PointIdsList(points=list(some)), wait=True
            )
        )

    def finish(self) -> str:
        """As of `Target`."""
        return self._told("POST /collections/NAME/points/query")

    def _open(self) -> None:
        if not self._again(lambda: self._client.collection_exists(self._name)):
            self._again(self._make)
        held = self._again(
            lambda: self._client.retrieve(self._name, [ABOUT], with_payload=True)
        )
        count = self._again(lambda: self._client.count(self._name)).count
        self._begin(held[0].payload if held else None, count == 0)

    def _make(self) -> None:
        kinds, model = self._kinds, self._model
        whole = kinds.VectorParams(size=model.layout.size, distance=kinds.Distance.DOT)
        learners = {
            learner(number): kinds.VectorParams(
                size=dim,
                distance=kinds.Distance.EUCLID,
                hnsw_config=kinds.HnswConfigDiff(m=0),
                on_disk=True,
            )
            for number, dim in enumerate(model.layout.dims)
        }
        self._client.create_collection(self._name, {WHOLE: whole, **learners})

    def _page(self, offset: Any) -> tuple[Sequence[Any], Any]:
        return self._again(
            lambda: self._client.scroll(
                self._name, limit=PAGE, offset=offset, with_payload=["state"]
            )
        )

    def _put(self, points: Sequence[Point]) -> None:
        structs = [
            self._kinds.PointStruct(id=number, vector=vectors, payload=payload)
            for number, vectors, payload in points
        ]
        # A server refuses more than 32 MiB at once, as JSON; to send a point twice is
        # to send it once.
        size = max(1, _NUMBERS // (2 * self._model.layout.size))
        for first in range(0, len(structs), size):
            part = structs[first : first + size]
            self._again(
                lambda some=part: self._client.upsert(self._name, some, wait=True)
            )

    def _again(self, work: Callable[[], T]) -> T:
        try:
            return persistently(work, self._lost, lambda: None, self._where)
        except self._refused as error:
            text = " ".join(str(error).split())
            raise InputError(
                f"--at must be a Qdrant that takes points. Received: {self._where}: "
                f"{text}."
            ) from error


def vectors(embedding: np.ndarray, layout: Layout) -> dict[str, list[float]]:
    """The vectors of a point by name.

    Args:
      embedding: float32 `[learners, dim]`.
      layout: How learners lie in it.
    """
    each = {
        learner(number): embedding[number, :dim].tolist()
        for number, dim in enumerate(layout.dims)
    }
    return {WHOLE: layout.joined(embedding).tolist(), **each}


def _payload(one: Handed) -> dict[str, Any]:
    return {
        "path": one.paths[0],
        "paths": one.paths,
        "label": one.label,
        "digest": one.digest.hex(),
        "state": one.state,
    }
