"""NMI and F1 of k-means over the concatenated embeddings, as scikit-learn has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from abe_tf.retrieval.embedded import Embedded

# Above, whole classes are drawn until there are as many images.
MOST_IMAGES = 20_000
# With thousands of classes an iteration takes seconds.
_ITERATIONS, _OF_MANY, _MANY = 100, 10, 1_000
DEFINITIONS = {
    "nmi": "mutual information of clusters and classes, over the mean of their "
    "entropies",
    "f1": "harmonic mean of precision and recall of pairs: of the pairs in one "
    "cluster, the share of one class, and the reverse",
}


def measure_clustering(
    embedded: Embedded, seed: int = 0, most_images: int = MOST_IMAGES
) -> dict[str, Any]:
    """Clusters into as many clusters as there are classes.

    Args:
      embedded: The images.
      seed: Seed of k-means (k-means++ once, at most 100 iterations, 10 above 1,000
        classes), and of the sample.
      most_images: Images that are clustered at most.

    Returns:
      "nmi" and "f1" in percent, and "images" and "classes" that were clustered.
    """
    # scikit-learn takes a second to import.
    from sklearn.cluster import KMeans
    from sklearn.metrics import normalized_mutual_info_score
    from sklearn.metrics.cluster import pair_confusion_matrix

    sample = _whole_classes(np.asarray(embedded.labels), seed, most_images)
    vectors = embedded.concatenated()[sample].astype(np.float32)
    labels = np.asarray(embedded.labels)[sample]
    # More clusters than different points: scikit-learn warns and leaves some empty.
    classes = len(np.unique(labels))
    points = len(np.unique(vectors, axis=0))
    iterations = _OF_MANY if classes > _MANY else _ITERATIONS
    means = KMeans(min(classes, points), n_init=1, max_iter=iterations)
    clusters = means.set_params(random_state=seed).fit_predict(vectors)
    # Of ordered pairs: rows by class, columns by cluster.
    (_, false_positives), (false_negatives, both) = pair_confusion_matrix(
        labels, clusters
    )
    pairs = 2 * both + false_positives + false_negatives
    return {
        "nmi": 100 * float(normalized_mutual_info_score(labels, clusters)),
        "f1": 100 * float(2 * both / pairs) if pairs else 0.0,
        "images": len(labels),
        "classes": classes,
    }


def _whole_classes(labels: np.ndarray, seed: int, most: int) -> np.ndarray:
    """Positions of all images, or of whole classes that are no more than `most`."""
    if len(labels) <= most:
        return np.arange(len(labels))
    classes, sizes = np.unique(labels, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(classes))
    fitting = order[np.cumsum(sizes[order]) <= most]
    if not len(fitting):
        # One class alone is larger.
        return np.arange(0, len(labels), -(-len(labels) // most))
    return np.flatnonzero(np.isin(labels, classes[fitting]))
