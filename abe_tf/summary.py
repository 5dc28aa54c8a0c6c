"""Prints the paper's table of parameters and multiply-adds beside the built models'.

python -m abe_tf.summary
"""

from __future__ import annotations

import dataclasses

from abe_tf.config import command
from abe_tf.config.model import ModelConfig


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the paper's table.

    Attributes:
      name: As the paper writes it.
      model: The flags that build it.
      parameters: As published, in 1e7.
      multiply_adds: As published, in 1e9.
    """

    name: str
    model: ModelConfig
    parameters: str
    multiply_adds: str


def _row(name: str, parameters: str, multiply_adds: str) -> Row:
    kind, _, dimensions = name.partition("^")
    abe = kind.startswith("ABE")
    config = ModelConfig(
        encoder="googlenet",
        ensemble="abe" if abe else "heads",
        num_learners=int(kind.split("-")[1 if abe else 0]),
        embedding_dim=int(dimensions),
    )
    return Row(name, config, parameters, multiply_adds)


ROWS = (
    _row("1-head^512", "0.65", "1.58"),
    _row("2-heads^512", "1.18", "2.25"),
    _row("4-heads^512", "2.24", "3.60"),
    _row("8-heads^512", "4.36", "6.28"),
    _row("ABE-1^512", "0.97", "2.21"),
    _row("ABE-2^512", "0.98", "2.96"),
    _row("ABE-4^512", "1.05", "4.46"),
    _row("ABE-8^512", "1.20", "7.46"),
    _row("ABE-1^64", "0.92", "2.21"),
    _row("ABE-2^128", "0.96", "2.96"),
    _row("ABE-4^256", "1.04", "4.46"),
)


def main() -> None:
    """Builds each model on GoogLeNet at 224 x 224 and counts."""
    from abe_tf.models.build import build
    from abe_tf.models.cost import cost

    print(f"{'':14}{'parameters (1e7)':>24}{'multiply-adds (1e9)':>26}")
    print(f"{'GoogLeNet':14}" + f"{'paper':>12}{'built':>12}{'paper':>14}{'built':>12}")
    for row in ROWS:
        built = cost(build(row.model, image_size=224))
        print(
            f"{row.name:14}{row.parameters:>12}{built.parameters / 1e7:12.2f}"
            f"{row.multiply_adds:>14}{built.multiply_adds / 1e9:12.2f}"
        )


if __name__ == "__main__":
    command.run(main)
