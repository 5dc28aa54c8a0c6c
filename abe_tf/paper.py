"""What was published, by model: recall in percent (tables 1 to 4), and cost."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a model costs.

    Attributes:
      name: Name as the paper writes it.
      parameters: In 1e7, as it is printed.
      multiply_adds: In 1e9, likewise.
    """

    name: str
    parameters: str
    multiply_adds: str


COSTS = (
    Cost("1-head^512", "0.65", "1.58"),
    Cost("2-heads^512", "1.18", "2.25"),
    Cost("4-heads^512", "2.24", "3.60"),
    Cost("8-heads^512", "4.36", "6.28"),
    Cost("ABE-1^512", "0.97", "2.21"),
    Cost("ABE-2^512", "0.98", "2.96"),
    Cost("ABE-4^512", "1.05", "4.46"),
    Cost("ABE-8^512", "1.20", "7.46"),
    Cost("ABE-1^64", "0.92", "2.21"),
    Cost("ABE-2^128", "0.96", "2.96"),
    Cost("ABE-4^256", "1.04", "4.46"),
)

# Cars-196, Recall@1, 2, 4 and 8 of the ensemble, and of its learners, mean ± deviation.
CARS196: dict[str, tuple[tuple[float, ...], tuple[str, ...]]] = {
    "1-head^512": ((67.2, 77.4, 85.3, 90.7), ()),
    "2-heads^512": (
        (73.3, 82.5, 88.6, 93.0),
        ("70.2±.03", "79.8±.52", "86.7±.01", "91.9±.37"),
    ),
    "4-heads^512": (
        (76.6, 84.2, 89.3, 93.2),
        ("70.4±.80", "79.9±.38", "86.5±.43", "91.4±.42"),
    ),
    "8-heads^512": (
        (76.1, 84.3, 90.3, 93.9),
        ("68.3±.39", "78.5±.39", "86.0±.37", "91.3±.31"),
    ),
    "ABE-1^512": ((67.3, 77.3, 85.3, 90.9), ()),
    "ABE-2^512": (
        (76.8, 84.9, 90.2, 94.0),
        ("70.9±.58", "80.3±.04", "87.1±.07", "92.2±.20"),
    ),
    "ABE-4^512": (
        (82.5, 89.1, 93.0, 95.5),
        ("74.4±.51", "83.1±.47", "89.1±.34", "93.2±.36"),
    ),
    "ABE-8^512": (
        (85.2, 90.5, 93.9, 96.1),
        ("75.0±.39", "83.4±.24", "89.2±.31", "93.2±.24"),
    ),
    "ABE-1^64": ((65.9, 76.5, 83.7, 89.3), ()),
    "ABE-2^128": (
        (75.5, 84.0, 89.4, 93.6),
        ("68.6±.38", "78.8±.38", "85.7±.43", "91.3±.16"),
    ),
    "ABE-4^256": (
        (81.8, 88.5, 92.4, 95.1),
        ("72.3±.68", "81.4±.45", "87.9±.23", "92.3±.13"),
    ),
    "ABE-8^512 without divergence": (
        (69.7, 78.8, 86.2, 91.5),
        ("69.5±.11", "78.8±.14", "86.1±.15", "91.5±.09"),
    ),
}

# Ensembles on the other benchmarks, at the K of each.
OTHERS: dict[str, dict[str, tuple[float, ...]]] = {
    "stanford_online_products": {
        "ABE-2^512": (75.4, 88.0, 94.7, 98.2),
        "ABE-4^512": (75.9, 88.3, 94.8, 98.2),
        "ABE-8^512": (76.3, 88.4, 94.8, 98.2),
    },
    "in_shop": {
        "ABE-2^512": (85.2, 96.0, 97.2, 97.8, 98.2, 98.4),
        "ABE-4^512": (86.7, 96.4, 97.6, 98.0, 98.4, 98.6),
        "ABE-8^512": (87.3, 96.7, 97.9, 98.2, 98.5, 98.7),
    },
}


# Ensembles that the paper compares with, all on GoogLeNet; BIER's as far as known.
COMPARED: dict[str, dict[str, tuple[float, ...]]] = {
    "cars196": {
        "HDC^384": (73.7, 83.2, 89.5, 93.8),
        "BIER^512": (78.0, 85.8, 91.1, 95.1),
        "A-BIER^512": (82.0, 89.0, 93.2, 96.1),
    },
    "cub200_2011": {
        "HDC^384": (53.6, 65.7, 77.0, 85.6),
        "BIER^512": (55.3, 67.2, 76.9, 85.1),
        "A-BIER^512": (57.5, 68.7, 78.3, 86.2),
    },
    "stanford_online_products": {
        "HDC^384": (69.5, 84.4, 92.8, 97.7),
        "BIER^512": (72.7, 86.5, 94.0, 98.0),
        "A-BIER^512": (74.2, 86.9, 94.0, 97.8),
    },
    "in_shop": {
        "HDC^384": (62.1, 84.9, 89.0, 91.2, 92.3, 93.1),
        "BIER^512": (76.9, 92.8, 95.2, 96.2, 96.7, 97.1),
        "A-BIER^512": (83.1, 95.1, 96.9, 97.5, 97.8, 98.0),
    },
}
# What these cost, which nobody has printed: as counted by `abe_tf.summary`.
COMPARED_COSTS = (
    Cost("HDC^384", "1.07", "1.59"),
    Cost("BIER^512", "0.65", "1.58"),
    Cost("A-BIER^512", "0.65", "1.58"),
)


def recall(dataset: str, model: str) -> tuple[str, tuple[float, ...]] | None:
    """The data set and recall that were published for a model; `None` for no such.

    Where there are none for the data set, those for Cars-196.
    """
    for rows in (OTHERS, COMPARED):
        if model in rows.get(dataset, {}):
            return dataset, rows[dataset][model]
    if model in CARS196:
        return "cars196", CARS196[model][0]
    if model in COMPARED["cars196"]:
        return "cars196", COMPARED["cars196"][model]
    return None
