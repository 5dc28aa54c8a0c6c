"""Measures from a full ranking in float64, written from their definitions."""

import numpy as np


def distance_matrices(queries, gallery=None):
    """By learner, ensemble and concatenated: `[learners + 2, queries, gallery]`."""
    x = queries.astype(np.float64)
    y = x if gallery is None else gallery.astype(np.float64)
    by_learner = np.stack(
        [
            np.linalg.norm(x[:, m, np.newaxis] - y[np.newaxis, :, m], axis=-1)
            for m in range(x.shape[1])
        ]
    )
    concatenated = np.sqrt((by_learner**2).sum(0))
    return np.stack([*by_learner, by_learner.mean(0), concatenated])


def ranked_relevance(distances, labels, gallery_labels=None):
    """For each query, whether each other image is relevant, nearest first.

    Among equal distances the irrelevant come first.
    """
    same = gallery_labels is None
    gallery_labels = labels if same else gallery_labels
    found = []
    for query, row in enumerate(distances):
        others = np.arange(len(gallery_labels))
        if same:
            others = np.delete(others, query)
        relevant = gallery_labels[others] == labels[query]
        # 1e-12: the ensemble's equal sums may be added in another order.
        order = np.lexsort((relevant, np.round(row[others], 12)))
        found.append(relevant[order])
    return found


def recall(ranked, k):
    return 100 * np.mean([relevant[:k].any() for relevant in ranked])


def ranking_measures(ranked):
    rows = []
    for relevant in ranked:
        total = relevant.sum()
        if total == 0:
            rows.append([0, 0, 0, 0])
            continue
        best = relevant[:total]
        precision = np.cumsum(best) / np.arange(1, total + 1)
        rows.append(
            [
                (precision * best).sum() / total,
                best.mean(),
                relevant[0],
                1 / (1 + np.argmax(relevant)),
            ]
        )
    names = ("map@r", "r_precision", "precision@1", "mrr")
    return dict(zip(names, 100 * np.mean(rows, axis=0), strict=True))


def close_calls(distances, labels, gap=1e-4):
    """Queries whose nearest positive and some negative are nearly as far."""
    found = np.zeros(len(labels), bool)
    for query, row in enumerate(distances):
        own = labels == labels[query]
        positive = own.copy()
        positive[query] = False
        found[query] = (np.abs(row[positive].min() - row[~own]) < gap).any()
    return found
