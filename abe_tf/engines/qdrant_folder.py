"""Qdrant: a folder that its engine reads in process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from abe_tf.engines.qdrant import ABOUT, PAGE, WHOLE, Point, Points, learner, vectors
from abe_tf.engines.target import missing_package
from abe_tf.errors import InputError
from abe_tf.photo_index.handing import Model


class Folder(Points):
    """A folder that Qdrant's engine reads in process.

    Args:
      path: The folder; made where there is none.
      model: What made the embeddings.

    Raises:
      InputError: It holds something else, or cannot be written.
    """

    def __init__(self, path: str, model: Model) -> None:
        super().__init__(model, f"folder {path!r}")
        try:
            import qdrant_edge
        except ImportError as error:
            raise missing_package(error) from error
        self._edge = qdrant_edge
        try:
            is_new = not os.path.isdir(path) or not os.listdir(path)
            if is_new:
                os.makedirs(path, exist_ok=True)
                self._shard = qdrant_edge.EdgeShard.create(path, self._config())
            else:
                self._shard = qdrant_edge.EdgeShard.load(path)
        except Exception as error:
            # The engine raises plain exceptions of its own.
            raise InputError(
                "--at must be a new folder, or one of Qdrant's engine. Received: "
                f"{path!r}: {' '.join(str(error).split())}."
            ) from error
        about = self._shard.retrieve([ABOUT], True, False)
        count = self._shard.count(qdrant_edge.CountRequest(exact=True))
        self._begin(about[0].payload if about else None, count == 0)

    def remove(self, some: Sequence[int]) -> None:
        """As of `Target`."""
        self._shard.update(self._edge.UpdateOperation.delete_points(list(some)))
        self._shard.flush()

    def finish(self) -> str:
        """Builds the graph."""
        self._shard.optimize()
        self._shard.flush()
        return self._told("abe_tf.engines.qdrant_folder.Folder.nearest")

    def nearest(
        self, query: np.ndarray, k: int = 10, candidates: int = 100
    ) -> list[tuple[int, float, dict[str, Any]]]:
        """The nearest contents: number, ensemble distance, payload.

        Args:
          query: float32 `[learners, dim]`.
          k: Hits.
          candidates: Number of contents, the first by inner product, that are ranked.
        """
        edge = self._edge
        near, score = edge.Query.Nearest, edge.Expression.Variable
        asked = vectors(query, self._model.layout)
        whole = edge.Prefetch(candidates, near(asked.pop(WHOLE), WHOLE))
        each = [
            edge.Prefetch(candidates, near(one, name), [whole])
            for name, one in asked.items()
        ]
        terms = [
            edge.Expression.Mult(
                [edge.Expression.Constant(-weight), score(f"$score[{number}]")]
            )
            for number, weight in enumerate(self._model.weights)
        ]
        points = self._shard.query(
            edge.QueryRequest(
                limit=k,
                query=edge.Formula(edge.Expression.Sum(terms)),
                prefetches=each,
                with_payload=True,
            )
        )
        return [(point.id, -point.score, point.payload) for point in points]

    def close(self) -> None:
        """Lets go of the folder."""
        self._shard.close()

    def _config(self) -> Any:
        edge, layout = self._edge, self._model.layout
        whole = edge.EdgeVectorParams(layout.size, edge.Distance.Dot)
        learners = {
            learner(number): edge.EdgeVectorParams(
                dim,
                edge.Distance.Euclid,
                hnsw_config=edge.HnswIndexConfig(0, 100, 10_000),
            )
            for number, dim in enumerate(layout.dims)
        }
        return edge.EdgeConfig({WHOLE: whole, **learners})

    def _page(self, offset: Any) -> tuple[Sequence[Any], Any]:
        return self._shard.scroll(
            self._edge.ScrollRequest(offset, PAGE, with_payload=["state"])
        )

    def _put(self, points: Sequence[Point]) -> None:
        made = [self._edge.Point(*point) for point in points]
        self._shard.update(self._edge.UpdateOperation.upsert_points(made))
        self._shard.flush()
