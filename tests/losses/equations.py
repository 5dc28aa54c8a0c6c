"""The losses' equations in float64, image by image, of one learner.

Written from the papers alone, with loops where the losses have tensors.
"""

import itertools

import numpy as np
from sklearn.metrics import normalized_mutual_info_score


def squares(x):
    return np.square(x[:, None] - x[None]).sum(-1)


def partners(labels):
    """Ordered pairs of two images of one class."""
    for i, j in itertools.permutations(range(len(labels)), 2):
        if labels[i] == labels[j]:
            yield i, j


def mean(costs):
    return np.mean(costs) if len(costs) else 0.0


def contrastive(x, labels, margin=1.0, hinge="linear"):
    d = squares(x)
    near = [d[pair] for pair in partners(labels)]
    others = d[labels[:, None] != labels[None]]
    if hinge == "squared":
        far = np.maximum(0, margin - np.sqrt(others)) ** 2
    else:
        far = np.maximum(0, margin - others)
    return mean(near) + mean(far[far > 0])


def triplet_semihard(x, labels, margin=1.0):
    """The nearest negative beyond the positive; where there is none, the farthest."""
    d, costs = squares(x), []
    for anchor, positive in partners(labels):
        negatives = d[anchor, labels != labels[anchor]]
        beyond = negatives[negatives > d[anchor, positive]]
        negative = beyond.min() if len(beyond) else negatives.max()
        costs.append(max(0.0, margin + d[anchor, positive] - negative))
    return mean(costs)


def triplet_hard(x, labels, margin=0.3):
    d, costs = np.sqrt(squares(x)), []
    for i, label in enumerate(labels):
        positives = d[i, (labels == label) & (np.arange(len(x)) != i)]
        negatives = d[i, labels != label]
        if len(positives) and len(negatives):
            costs.append(max(0.0, positives.max() - negatives.min() + margin))
    return mean(costs)


def lifted_struct(x, labels, margin=1.0):
    d, costs = np.sqrt(squares(x)), []
    for i, j in itertools.combinations(range(len(labels)), 2):
        if labels[i] == labels[j]:
            others = [d[k, labels != labels[k]] for k in (i, j)]
            loss = np.log(sum(np.exp(margin - o).sum() for o in others)) + d[i, j]
            costs.append(max(0.0, loss) ** 2)
    return mean(costs) / 2


def neighbours(x, labels):
    """First and second, third and fourth, ... image, where they are of one class."""
    pairs = range(0, len(x) - 1, 2)
    kept = np.array([i for i in pairs if labels[i] == labels[i + 1]], int)
    return x[kept], x[kept + 1], labels[kept]


def npairs(x, labels, scale=16.0):
    anchors, positives, classes = neighbours(x, labels)
    costs = []
    for anchor, label in zip(anchors, classes, strict=True):
        logits = scale * positives @ anchor
        aimed_at = logits[classes == label].mean()
        costs.append(np.log(np.exp(logits).sum()) - aimed_at)
    return mean(costs)


def angular(x, labels, degrees=45.0, npairs_weight=0.0):
    anchors, positives, classes = neighbours(x, labels)
    t, costs = np.tan(np.radians(degrees)) ** 2, []
    for a, p, label in zip(anchors, positives, classes, strict=True):
        n = positives[classes != label]
        exponents = 4 * t * n @ (a + p) - 2 * (1 + t) * a @ p
        costs.append(np.log1p(np.exp(exponents).sum()))
    return mean(costs) + npairs_weight * npairs(x, labels)


def clustering(x, labels, gamma=1.0):
    d = np.sqrt(squares(x))
    images = range(len(x))

    def assigned(medoids):
        clusters = [int(np.argmin(d[i, medoids])) for i in images]
        for place, medoid in enumerate(medoids):
            clusters[medoid] = place
        return clusters

    def spread(medoids):
        return gamma * (
            1
            - normalized_mutual_info_score(
                labels, assigned(medoids), average_method="geometric"
            )
        )

    def worth(medoids):
        return spread(medoids) - d[:, medoids].min(1).sum()

    classes, chosen = np.unique(labels), []
    for _ in classes:
        left = [i for i in images if i not in chosen]
        chosen.append(max(left, key=lambda i: worth([*chosen, i])))
    for _ in range(5):
        clusters = np.array(assigned(chosen))
        for place in range(len(chosen)):
            (own,) = np.nonzero(clusters == place)

            def moved(i, place=place, own=own):
                trial = [*chosen[:place], i, *chosen[place + 1 :]]
                return spread(trial) - d[own, i].sum()

            chosen[place] = max(own.tolist(), key=moved)
    by_class = [d[np.ix_(labels == c, labels == c)].sum(1).min() for c in classes]
    found = d[images, np.array(chosen)[assigned(chosen)]].sum()
    return max(0.0, spread(chosen) - found + sum(by_class))


def cosines(x, proxies):
    return x @ (proxies / np.linalg.norm(proxies, axis=1, keepdims=True)).T


def proxy_nca(x, labels, proxies, scale=3.0, positive="excluded"):
    d, costs = scale**2 * (2 - 2 * cosines(x, proxies)), []
    for row, label in zip(d, labels, strict=True):
        others = row if positive == "included" else np.delete(row, label)
        costs.append(row[label] + np.log(np.exp(-others).sum()))
    return mean(costs)


def proxy_anchor(x, labels, proxies, scale=32.0, margin=0.1):
    s, near, far = cosines(x, proxies), [], []
    for c in range(len(proxies)):
        own, others = s[labels == c, c], s[labels != c, c]
        far.append(np.log1p(np.exp(scale * (others + margin)).sum()))
        if len(own):
            near.append(np.log1p(np.exp(-scale * (own - margin)).sum()))
    return mean(near) + mean(far)


def multi_similarity(x, labels, alpha=2.0, beta=50.0, base=0.5, epsilon=0.1):
    s, costs = x @ x.T, []
    for i, label in enumerate(labels):
        positives = s[i, (labels == label) & (np.arange(len(x)) != i)]
        negatives = s[i, labels != label]
        if not len(positives) or not len(negatives):
            continue
        kept = positives[positives < negatives.max() + epsilon]
        pushed = negatives[negatives > positives.min() - epsilon]
        costs.append(
            np.log1p(np.exp(-alpha * (kept - base)).sum()) / alpha
            + np.log1p(np.exp(beta * (pushed - base)).sum()) / beta
        )
    return np.sum(costs) / len(x)


def margin(x, labels, borders, drawn, found, alpha=0.2, nu=0.0):
    """What is left to chance is handed in.

    Drawn: for anchor and positive the place of the negative; found: of anchors.
    """
    d, total, count = np.sqrt(squares(x)), 0.0, 0
    for a, p in partners(labels):
        if found[a]:
            border = borders[labels[a]]
            terms = (
                max(0.0, d[a, p] - border + alpha),
                max(0.0, border - d[a, drawn[a, p]] + alpha),
            )
            total += sum(terms) + nu * border
            count += np.count_nonzero(terms)
    return total / count
