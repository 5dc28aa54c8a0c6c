"""The medoids that the clustering loss compares with those of the classes.

Exact greedy: K rounds, each of which adds the image of largest F + gamma Delta. Then
five passes, each of which moves every medoid to the best image of its cluster. Of
equals the first image counts: the answer is a function of the distances alone.
"""

from __future__ import annotations

import numpy as np

from abe_tf.compiled import compiled

_PASSES = 5


def locate(
    distances: np.ndarray, labels: np.ndarray, gamma: float
) -> tuple[np.ndarray, np.ndarray, np.float32]:
    """Finds the medoids of a batch.

    Args:
      distances: `[batch, batch]` float, symmetric, 0 on the diagonal.
      labels: `[batch]` integer classes.
      gamma: Weight of Delta.

    Returns:
      For each image the medoid of its cluster, and that of its class, `[batch]` int64
      both, and Delta, between 0 and 1.
    """
    distances = np.ascontiguousarray(distances, np.float64)
    classes = np.unique(labels, return_inverse=True)[1].ravel().astype(np.int64)
    count = int(classes.max()) + 1
    chosen = _greedy(distances, classes, count, float(gamma))
    for _ in range(_PASSES):
        _refine(distances, classes, chosen, float(gamma))
    clusters = _assign(distances, chosen)
    delta = 1 - mutual_information(clusters, classes, count, count)
    return chosen[clusters], _own(distances, classes, count), np.float32(delta)


@compiled
def mutual_information(
    clusters: np.ndarray, classes: np.ndarray, num_clusters: int, num_classes: int
) -> float:
    """Normalised by the geometric mean of both entropies.

    0 where one of them is 0, and 1 where both are: one cluster of one class.

    >>> one, other = np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0])
    >>> round(mutual_information(one, other, 2, 2), 6)
    1.0
    """
    size = len(clusters)
    table = np.zeros((num_clusters, num_classes))
    for image in range(size):
        table[clusters[image], classes[image]] += 1
    rows, columns = table.sum(1), table.sum(0)
    shared, of_clusters, of_classes = 0.0, 0.0, 0.0
    for i in range(num_clusters):
        if rows[i] > 0:
            of_clusters -= rows[i] / size * np.log(rows[i] / size)
        for j in range(num_classes):
            if table[i, j] > 0:
                ratio = table[i, j] * size / (rows[i] * columns[j])
                shared += table[i, j] / size * np.log(ratio)
    for j in range(num_classes):
        of_classes -= columns[j] / size * np.log(columns[j] / size)
    if of_clusters <= 0 or of_classes <= 0:
        return 1.0 if of_clusters <= 0 and of_classes <= 0 else 0.0
    return shared / np.sqrt(of_clusters * of_classes)


@compiled
def _greedy(
    distances: np.ndarray, classes: np.ndarray, count: int, gamma: float
) -> np.ndarray:
    size = len(distances)
    chosen = np.full(count, -1, np.int64)
    nearest = np.full(size, np.inf)
    clusters = np.zeros(size, np.int64)
    taken = np.zeros(size, np.bool_)
    for place in range(count):
        best, best_score = -1, -np.inf
        for candidate in range(size):
            if taken[candidate]:
                continue
            total = 0.0
            trial = clusters.copy()
            for image in range(size):
                distance = distances[image, candidate]
                if distance < nearest[image]:
                    trial[image] = place
                total += min(distance, nearest[image])
            trial[candidate] = place
            shared = mutual_information(trial, classes, place + 1, count)
            score = gamma * (1 - shared) - total
            if score > best_score:
                best, best_score = candidate, score
        chosen[place], taken[best] = best, True
        for image in range(size):
            if distances[image, best] < nearest[image]:
                nearest[image], clusters[image] = distances[image, best], place
        clusters[best] = place
    return chosen


@compiled
def _assign(distances: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The cluster of each image; a medoid is in its own, whatever rounding says."""
    size = len(distances)
    clusters = np.zeros(size, np.int64)
    for image in range(size):
        for place in range(1, len(chosen)):
            now = distances[image, chosen[clusters[image]]]
            if distances[image, chosen[place]] < now:
                clusters[image] = place
    for place in range(len(chosen)):
        clusters[chosen[place]] = place
    return clusters


@compiled
def _refine(
    distances: np.ndarray, classes: np.ndarray, chosen: np.ndarray, gamma: float
) -> None:
    """One pass: clusters as they are at its beginning, medoids one after the other."""
    size, count = len(distances), len(chosen)
    clusters = _assign(distances, chosen)
    for place in range(count):
        best, best_score = chosen[place], -np.inf
        trial = chosen.copy()
        for candidate in range(size):
            if clusters[candidate] != place:
                continue
            total = 0.0
            for image in range(size):
                if clusters[image] == place:
                    total += distances[image, candidate]
            trial[place] = candidate
            shared = mutual_information(
                _assign(distances, trial), classes, count, count
            )
            score = gamma * (1 - shared) - total
            if score > best_score:
                best, best_score = candidate, score
        chosen[place] = best


@compiled
def _own(distances: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """The medoid of each image's class."""
    size = len(distances)
    medoids = np.full(count, -1, np.int64)
    best = np.full(count, np.inf)
    for candidate in range(size):
        total = 0.0
        for image in range(size):
            if classes[image] == classes[candidate]:
                total += distances[image, candidate]
        if total < best[classes[candidate]]:
            medoids[classes[candidate]], best[classes[candidate]] = candidate, total
    return medoids[classes]
