"""Prints the paper's table of parameters and multiply-adds beside the built models'.

python -m abe_tf.summary
"""

from __future__ import annotations

from abe_tf import paper
from abe_tf.config import command
from abe_tf.config.model import ModelConfig


def model_of(name: str) -> ModelConfig:
    """The flags that build a model on GoogLeNet.

    Args:
      name: Name as the paper writes it, such as ABE-8^512, 4-heads^512 or HDC^384.
    """
    kind, _, dimensions = name.partition("^")
    if kind in ("HDC", "BIER"):
        return ModelConfig(
            encoder="googlenet",
            ensemble=kind.lower(),
            num_learners=3,
            embedding_dim=int(dimensions),
        )
    abe = kind.startswith("ABE")
    return ModelConfig(
        encoder="googlenet",
        ensemble="abe" if abe else "heads",
        num_learners=int(kind.split("-")[1 if abe else 0]),
        embedding_dim=int(dimensions),
    )


def main() -> None:
    """Builds each model on GoogLeNet at 224 x 224 and counts."""
    from abe_tf.models.build import build
    from abe_tf.models.cost import cost

    print(f"{'':14}{'parameters (1e7)':>24}{'multiply-adds (1e9)':>26}")
    print(f"{'GoogLeNet':14}" + f"{'paper':>12}{'built':>12}{'paper':>14}{'built':>12}")
    # The paper does not count those that it is compared with; A-BIER is BIER then.
    others = [
        paper.Cost(row.name, "-", "-")
        for row in paper.COMPARED_COSTS
        if not row.name.startswith("A-")
    ]
    for row in (*paper.COSTS, *others):
        built = cost(build(model_of(row.name), image_size=224))
        print(
            f"{row.name:14}{row.parameters:>12}{built.parameters / 1e7:12.2f}"
            f"{row.multiply_adds:>14}{built.multiply_adds / 1e9:12.2f}"
        )


if __name__ == "__main__":
    command.run(main)
