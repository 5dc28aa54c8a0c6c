"""Lists the encoders: where attention may go, and what each part costs.

python -m abe_tf.encoders --encoders=mobilenet --image_size=224
"""

from __future__ import annotations

from typing import Any

from abe_tf.config import command
from abe_tf.config.listing import ListingConfig
from abe_tf.config.model import ModelConfig

_LEARNERS, _DIMENSIONS = 8, 512
# The networks that ABE is compared with, as published.
_OTHERS: dict[str, dict[str, Any]] = {
    "1-head^512": {"ensemble": "none", "num_learners": 1, "embedding_dim": 512},
    "8-heads^512": {"ensemble": "heads", "num_learners": 8, "embedding_dim": 512},
    "HDC^384": {"ensemble": "hdc", "num_learners": 3, "embedding_dim": 384},
    "BIER^512": {"ensemble": "bier", "num_learners": 3, "embedding_dim": 512},
}


def main(config: ListingConfig) -> None:
    """Builds each encoder and the ensembles on it, and counts."""
    from abe_tf.models import build, parts
    from abe_tf.models.cost import cost

    for name in config.encoders:
        model = ModelConfig(
            encoder=name, num_learners=_LEARNERS, embedding_dim=_DIMENSIONS
        )
        backbone = build.encoder(model, config.image_size, "none")
        print(f"\n{name}\n  place for attention      shape there      blocks in trunk")
        for place in backbone.places:
            shape = " x ".join(map(str, backbone.shape_at(place)))
            own = place == backbone.attention_at
            default = f"   default, {backbone.attention_depth} blocks" if own else ""
            most = backbone.max_depth(place)
            print(f"  {place:24} {shape:16} 0 to {most}{default}")
        network = build.build(model, config.image_size)
        print(f"  {'ABE-8^512':24}{'parameters (1e6)':>20}{'multiply-adds (1e9)':>22}")
        for part, counted in {**parts.costs(network), "all": cost(network)}.items():
            parameters, multiply_adds = counted.parameters, counted.multiply_adds
            print(f"  {part:24}{parameters / 1e6:20.2f}{multiply_adds / 1e9:22.2f}")
        for title, flags in _OTHERS.items():
            other = build.build(ModelConfig(encoder=name, **flags), config.image_size)
            counted = cost(other)
            parameters, multiply_adds = counted.parameters, counted.multiply_adds
            print(f"  {title:24}{parameters / 1e6:20.2f}{multiply_adds / 1e9:22.2f}")


if __name__ == "__main__":
    command.run(main, ListingConfig)
